"""The findings as files: a PNG for each figure, and one page that holds them all."""

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from skmmd._cli._tour._findings import Figure, Finding, Part

__all__ = ["save_figures", "write_page"]

_DPI = 130

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2a36; --soft: #5a6b7b; --page: #f5f7f9; --card: #fff;
  --line: #d9e0e6; --accent: #2166ac; --code: #eef2f5; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4eaf0; --soft: #9fb0bf; --page: #12181e; --card: #1b242c; --line: #33414d;
    --accent: #7db4e6; --code: #253039; }
  img { filter: brightness(.92); }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.45rem; margin: 2.5rem 0 .3rem; }
h3 { font-size: 1.2rem; margin: 0 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--accent); }
code { background: var(--code); border-radius: .25rem; padding: .1rem .3rem; font-size: .88em;
  overflow-wrap: anywhere; }
.soft { color: var(--soft); font-size: .92rem; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .45rem .8rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1.1rem 1.2rem; margin: 1.2rem 0; }
.outcome { border-left: .25rem solid var(--accent); padding-left: .7rem; font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 1rem; margin-top: 1rem; align-items: start; }
figure { margin: 0; }
img { width: 100%; max-width: 36rem; height: auto; display: block; background: #fff;
  border: 1px solid var(--line); border-radius: .4rem; }
figcaption { color: var(--soft); font-size: .86rem; line-height: 1.4; margin-top: .35rem; }
@media (max-width: 40rem) { .wide { display: none; } }
"""


def save_figures(folder: Path, part: Part, finding: Finding) -> dict[str, bytes]:
    """Write the figures of a finding as PNG files and return their bytes by name."""
    images = {}
    for figure in finding.figures:
        buffer = BytesIO()
        figure.drawn.savefig(buffer, format="png", dpi=_DPI)
        images[figure.name] = buffer.getvalue()
        (folder / f"{part.name}_{figure.name}.png").write_bytes(images[figure.name])
    return images


def write_page(
    path: Path,
    parts: Sequence[tuple[Part, Sequence[Finding]]],
    images: dict[str, dict[str, bytes]],
    *,
    version: str,
) -> None:
    """Write the page, with its images inside, so that it can be sent as one file.

    Parameters
    ----------
    path : Path
        The file.
    parts : sequence of (Part, sequence of Finding)
        What to show.
    images : dict of str to dict of str to bytes
        By name of the part and of the figure, the PNG files.
    version : str
        The version of the package.
    """
    body = "".join(_part(part, findings, images[part.name]) for part, findings in parts)
    path.write_text(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>skmmd tour</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>skmmd tour</h1>
<p class="soft">What the estimators of skmmd {escape(version)} find on the data sets that ship with
scikit-learn, and on files that came with Python and its packages. Times are those of the calls
named, on this machine; in the first run after an installation they include the compilation of
loops.</p>
{body}
</main>
</body>
</html>
""",
        encoding="utf-8",
    )


def _part(part: Part, findings: Sequence[Finding], images: dict[str, bytes]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{part.name}-{place}">{escape(finding.title)}</a></td>'
        f'<td class="wide">{escape(finding.data)}</td><td>{escape(finding.outcome)}</td>'
        f'<td class="number">{finding.seconds:.2f} s</td></tr>\n'
        for place, finding in enumerate(findings)
    )
    sections = "".join(
        _section(f"{part.name}-{place}", finding, images) for place, finding in enumerate(findings)
    )
    return f"""<h2>{escape(part.title)}</h2>
<p>{escape(part.introduction)}</p>
<div class="scroll"><table>
<thead><tr><th>what</th><th class="wide">data</th><th>result</th><th class="number">time</th></tr>
</thead>
<tbody>
{rows}</tbody></table></div>
{sections}"""


def _section(anchor: str, finding: Finding, images: dict[str, bytes]) -> str:
    figures = "".join(_figure(figure, images[figure.name]) for figure in finding.figures)
    shape = " (rows x columns)" if " x " in finding.data else ""
    return f"""<section id="{anchor}">
<h3>{escape(finding.title)}</h3>
<p>{escape(finding.question)}</p>
<p class="soft">{escape(finding.data)}{shape} · <code>{escape(finding.call)}</code>
· {finding.seconds:.2f} s</p>
<p class="outcome">{escape(finding.outcome)}</p>
<p>{escape(finding.reading)}</p>
<div class="figures">{figures}</div>
</section>
"""


def _figure(figure: Figure, image: bytes) -> str:
    encoded = base64.b64encode(image).decode("ascii")
    return (
        f'<figure><img alt="{escape(figure.caption)}" src="data:image/png;base64,{encoded}">'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>\n"
    )
