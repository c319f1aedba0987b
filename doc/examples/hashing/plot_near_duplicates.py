"""
Near-duplicates: which edits does the hash survive?
===================================================

Two files with the same SHA-256 are the same. If one byte differs, SHA-256 says nothing any more.
The MMDT hash of a file changes little when the file changes little, so that hashes can be
compared instead of files. How little is little? This example edits files, looks at what remains of
the similarity, groups a collection with its copies, and looks files up in an index.
"""

# %%
# Files and edits
# ---------------
# The files are modules of the standard library, and eight things may happen to each.

import sysconfig
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

BLUE, RED, GREY, INK = "#2166ac", "#b2182b", "#9fb3c8", "#22303c"

paths = [
    path
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    if path.stat().st_size >= 8192
]
files = [path.read_bytes() for path in paths]
names = [path.name for path in paths]
print(f"{len(files)} files, {sum(map(len, files)) / 1e6:.1f} MB")


def flip_bytes(content, rng):
    """Put other bytes in place of one in a hundred."""
    changed = np.frombuffer(content, dtype=np.uint8).copy()
    places = rng.choice(len(changed), len(changed) // 100, replace=False)
    changed[places] ^= rng.integers(1, 256, len(places), dtype=np.uint8)
    return changed.tobytes()


def change_lines(content, rng):
    """Change the case of two in a hundred lines, as a new version of a program changes some."""
    lines = content.splitlines(keepends=True)
    for place in rng.choice(len(lines), max(1, len(lines) // 50), replace=False):
        lines[place] = lines[place].swapcase()
    return b"".join(lines)


def shuffle(content, rng):
    """Cut into eight pieces, and put them together in another order."""
    edges = np.linspace(0, len(content), 9).astype(int)
    return b"".join(content[edges[i] : edges[i + 1]] for i in np.roll(np.arange(8), 3))


edits = {
    "2 % of lines changed": change_lines,
    "1 % of bytes flipped": flip_bytes,
    "a word replaced": lambda content, rng: content.replace(b"self", b"this"),
    "a line inserted": lambda content, rng: content[:4000] + b"# A new line.\n" + content[4000:],
    "1 % appended": lambda content, rng: content + content[: len(content) // 100],
    "10 % appended": lambda content, rng: content + content[: len(content) // 10],
    "last 10 % cut off": lambda content, rng: content[: len(content) * 9 // 10],
    "8 pieces shuffled": shuffle,
}

# %%
# What remains of the similarity
# ------------------------------
# ``mmdt_digest`` gives each file 20 bytes, ``mmdt_similarity`` compares them. The last row is what
# to compare with: pairs of files that are not copies. All of them are Python, and that alone makes
# them similar. Only similarities above those of strangers mean anything.
#
# Where bytes change and stay in their places, the similarity stays near 1, apart from the files
# one of whose bytes wraps around. Where the contents move, it is lost: the hash compares the first
# sixteenth of a file with the first sixteenth of the other, and so on.

from skmmd.hashing import mmdt_digest, mmdt_similarity

rng = np.random.default_rng(0)
digests = mmdt_digest(files)
edited = {
    name: mmdt_digest([edit(content, rng) for content in files]) for name, edit in edits.items()
}
between = mmdt_similarity(digests)
rows = {name: np.diag(mmdt_similarity(digests, copies)) for name, copies in edited.items()}
rows["other files"] = between[np.triu_indices(len(files), 1)]

figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for place, (name, values) in enumerate(rows.items()):
    color = RED if name == "other files" else BLUE
    shown = rng.choice(values, min(len(values), 300), replace=False)
    height = place + rng.uniform(-0.25, 0.25, len(shown))
    ax.scatter(shown, height, s=7, color=color, alpha=0.4, linewidths=0)
    ax.vlines(np.median(values), place - 0.38, place + 0.38, color=INK, linewidth=2)
ax.axvline(0.95, color=INK, linestyle="--", linewidth=1)
ax.set_yticks(range(len(rows)), rows)
ax.invert_yaxis()
ax.set_xlabel("similarity of a file and its copy (black: median; dashed: .95)")
ax.spines[["top", "right"]].set_visible(False)

# %%
# Finding the original
# --------------------
# Given a copy, is the nearest of all files its original? The hash in three metrics stands beside
# the histogram and bigrams of :class:`~skmmd.hashing.MMDTVectorizer`, which do not care where in
# the file something is. They take 1280 numbers for each file instead of 16 bytes.

from sklearn.metrics import pairwise_distances_argmin

from skmmd.hashing import MMDTVectorizer

own = np.arange(len(files))
found = {
    metric: [
        np.mean(mmdt_similarity(copies, digests, metric=metric).argmax(axis=1) == own)
        for copies in edited.values()
    ]
    for metric in ("mmdt", "manhattan", "circular")
}
vectorizer = MMDTVectorizer(features=["histogram", "bigrams"])
X = vectorizer.transform(files)
rng = np.random.default_rng(0)
found["histogram + bigrams"] = [
    np.mean(
        pairwise_distances_argmin(
            vectorizer.transform([edit(content, rng) for content in files]), X, metric="manhattan"
        )
        == own
    )
    for edit in edits.values()
]

figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
shares = np.array(list(found.values())).T
ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
for (row, column), share in np.ndenumerate(shares):
    ink = "white" if share > 0.55 else INK
    ax.text(column, row, f"{share:.2f}", ha="center", va="center", color=ink)
ax.set_xticks(range(shares.shape[1]), found)
ax.set_yticks(range(shares.shape[0]), edits)
ax.set_title("share of copies whose nearest file is the original", fontsize="medium")
ax.spines[:].set_visible(False)
ax.tick_params(length=0)

# %%
# A collection and its groups
# ---------------------------
# Eight files, each in four versions: as it is, some lines changed, some bytes flipped, some of it
# appended. The heat map puts similar ones side by side.

from skmmd.inspection import SimilarityDisplay

versions = {
    "": digests,
    " lines": edited["2 % of lines changed"],
    " bytes": edited["1 % of bytes flipped"],
    " longer": edited["1 % appended"],
}
chosen = np.linspace(0, len(files) - 1, 8).astype(int)
collection = np.concatenate([copies[chosen] for copies in versions.values()])
labels = [names[place] + version for version in versions for place in chosen]
families = [names[place] for _ in versions for place in chosen]

# sphinx_gallery_thumbnail_number = 3
SimilarityDisplay.from_matrix(mmdt_similarity(collection), labels=labels, groups=families).plot(
    vmin=0.6
)

# %%
# In a large collection the matrix would not fit into memory. ``mmdt_pairs`` finds the similar pairs
# alone, and the groups are the connected components of their graph.

from scipy.sparse.csgraph import connected_components

from skmmd.hashing import mmdt_pairs

pairs = mmdt_pairs(collection, threshold=0.95)
_, group = connected_components(pairs, directed=False)
for number in np.unique(group):
    members = [labels[place] for place in np.flatnonzero(group == number)]
    print(f"group {number + 1}: {', '.join(members)}")

# %%
# An index
# --------
# :class:`~skmmd.hashing.MMDTIndex` answers queries without looking at all digests: at those only
# whose four index bytes differ by at most ``tolerance`` each. Here all pieces of 8 KiB of all
# files are known, and copies of some, with flipped bytes, are looked up.

from skmmd.hashing import MMDTIndex

pieces = [
    content[start : start + 8192]
    for content in files
    for start in range(0, len(content) - 8191, 2048)
]
rng = np.random.default_rng(1)
places = rng.choice(len(pieces), 500, replace=False)
queries = mmdt_digest([flip_bytes(pieces[place], rng) for place in places])
index = MMDTIndex().fit(pieces)
for tolerance in (0, 1, 2, None):
    index.set_params(tolerance=tolerance)
    nearest = index.kneighbors(queries, n_neighbors=1, return_distance=False)[:, 0]
    looked = index.count_candidates(queries).mean() / len(pieces)
    print(
        f"tolerance {tolerance!s:4}: {np.mean(nearest == places):4.0%} of the originals found, "
        f"{looked:7.2%} of {len(pieces)} pieces looked at"
    )

# %%
# Looking at all pieces need not find more: sensitive bytes wrap around, so that a stranger may
# look near. Its index bytes, which don't wrap, give it away.
#
# ``index.save("known.npz")`` keeps an index, ``MMDTIndex.load("known.npz")`` brings it back, and
# ``skmmd index`` and ``skmmd query`` do the same on the command line.

plt.show()
