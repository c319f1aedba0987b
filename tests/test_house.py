"""The rules of the house, read off the sources: where things live and who may import what."""

import ast
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc
from numpydoc.validate import validate

import skmmd

PACKAGE = Path(skmmd.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LOOPS = [path for path in FILES if path.name == "_loops.py"]
JIT = PACKAGE / "_jit.py"


def where(path):
    return path.relative_to(PACKAGE).as_posix()


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def per_file(files=FILES):
    return pytest.mark.parametrize("path", files, ids=where)


def imports(node) -> Iterator[tuple[str, str | None, bool]]:
    """Yield (module, name, is it at module level) for all imports; relative ones made absolute."""
    inside_functions = {
        id(child)
        for function in ast.walk(node)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.walk(function)
    }
    for child in ast.walk(node):
        top = id(child) not in inside_functions
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name, None, top
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports within the package are absolute"
            for alias in child.names:
                yield child.module, alias.name, top


def functions(node):
    return [n for n in ast.walk(node) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]


def dotted(node):
    """Return "a.b.c" for names and attributes, the callee for calls."""
    if isinstance(node, ast.Call):
        node = node.func
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def test_there_are_sources_to_check():
    assert len(FILES) > 8
    assert LOOPS
    assert JIT in FILES


# --------------------------------------------------------------------------------------
# compiled code


@per_file()
def test_only_jit_names_numba(path):
    named = {m for m, _, _ in imports(tree(path)) if m.split(".")[0] in ("numba", "llvmlite")}
    assert not named or path == JIT


@per_file()
def test_loops_are_decorated_in_loops_files_only(path):
    if path == JIT:
        return
    decorators = {
        dotted(decorator)
        for function in functions(tree(path))
        for decorator in function.decorator_list
    }
    compiled = {d for d in decorators if d.split(".")[-1] in ("loop", "njit", "jit", "vectorize")}
    if path.name == "_loops.py":
        assert compiled == {"loop"}
    else:
        assert not compiled
        taken = {name for m, name, _ in imports(tree(path)) if m == "skmmd._jit"}
        assert not taken, "what is compiled lives in _loops.py"


@per_file(LOOPS)
def test_loops_files_import_only_numpy_math_and_jit(path):
    for module, name, _ in imports(tree(path)):
        assert module in ("numpy", "math", "skmmd._jit"), module
        if module == "skmmd._jit":
            assert name in ("loop", "exp", "log")


@per_file(LOOPS)
def test_every_function_of_a_loops_file_is_compiled(path):
    """An undecorated one would be Python called from compiled code, or plain NumPy misplaced."""
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef):
            assert [dotted(d) for d in node.decorator_list] == ["loop"], node.name


@per_file(LOOPS)
def test_loops_define_no_closures_and_take_no_functions(path):
    """Neither is ever found in Numba's cache: each process would compile anew."""
    for function in functions(tree(path)):
        inner = [
            n
            for n in ast.walk(function)
            if isinstance(n, (ast.FunctionDef, ast.Lambda)) and n is not function
        ]
        assert not inner, f"{function.name} defines a function"
        parameters = {a.arg for a in (*function.args.posonlyargs, *function.args.args)}
        assert not function.args.kwonlyargs
        assert not function.args.vararg
        called = {
            n.func.id
            for n in ast.walk(function)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        assert not called & parameters, f"{function.name} calls its argument"


@per_file(LOOPS)
def test_loops_draw_no_random_numbers(path):
    names = {dotted(n) for n in ast.walk(tree(path)) if isinstance(n, ast.Attribute)}
    assert not {n for n in names if n.startswith(("np.random", "numpy.random", "random."))}


@per_file()
def test_no_compiled_function_crosses_a_file_except_to_be_called_from_python(path):
    """A cached caller is not recompiled when a compiled callee in another file changes."""
    if path.name == "_loops.py":
        crossing = [m for m, _, _ in imports(tree(path)) if m.endswith("_loops")]
        assert not crossing


@per_file()
def test_no_fastmath_and_no_parallel(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.keyword) and node.arg in ("fastmath", "parallel"):
            assert not (isinstance(node.value, ast.Constant) and node.value.value is True)
        if isinstance(node, ast.Constant) and node.value in ("nnan", "ninf", "fast"):
            raise AssertionError(f"{node.value!r} makes isnan False")
        if isinstance(node, (ast.Attribute, ast.Name)):
            assert dotted(node).split(".")[-1] != "prange"


@per_file(LOOPS)
def test_one_function_is_decorated_once(path):
    names = [f.name for f in functions(tree(path))]
    assert len(names) == len(set(names))


# --------------------------------------------------------------------------------------
# layout and imports

LEVELS = (
    ("_cli",),
    ("two_sample", "transfer", "density", "mixture", "metric_learning", "hashing"),
    ("inspection", "kernels", "datasets"),
    ("_validation", "_chunked", "_jit"),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def room(module):
    """Return the part of the package below skmmd that a dotted module name is in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@per_file()
def test_import_direction(path):
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if here == "__init__":
        return
    assert here in LEVEL, f"{here} has no place in the house"
    for module, name, _ in imports(tree(path)):
        if module.split(".")[0] != "skmmd":
            continue
        there = room(module) or room(f"skmmd.{name}")
        if there == here:
            continue
        if there not in LEVEL:
            assert here == "_cli", f"{where(path)} imports {name} from the face"
            continue
        assert LEVEL[there] > LEVEL[here], f"{where(path)} imports {there}"


@per_file()
def test_private_names_of_scikit_learn_are_sheltered(path):
    if where(path) == "_validation.py":
        return
    for module, name, _ in imports(tree(path)):
        if module.split(".")[0] == "sklearn":
            parts = [*module.split("."), *([name] if name else [])]
            private = [p for p in parts if p.startswith("_")]
            assert not private, f"{'.'.join(parts)}: import it in _validation.py"


@per_file()
def test_dask_is_known_to_chunked_only(path):
    if where(path) != "_chunked.py":
        assert "dask" not in {m.split(".")[0] for m, _, _ in imports(tree(path))}


OPTIONAL = ("matplotlib", "pandas", "polars", "pyarrow", "dask", "tqdm")


@per_file()
def test_optional_libraries_are_imported_late(path):
    if "_cli" in path.relative_to(PACKAGE).parts:
        return
    early = {m for m, _, top in imports(tree(path)) if top and m.split(".")[0] in OPTIONAL}
    assert not early


def test_names_of_modules():
    banned = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    for path in FILES:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        assert not banned & {p.strip("_") for p in parts}, where(path)
        if path.name != "__init__.py":
            assert path.name.startswith("_"), f"{where(path)}: a leaf module is private"


@per_file([path for path in FILES if path.name == "__init__.py"])
def test_packages_have_a_docstring_and_all(path):
    module = import_module(".".join(("skmmd", *path.relative_to(PACKAGE).parts[:-1])))
    assert module.__doc__
    assert module.__doc__.strip()
    if path.parent.name == "_cli":
        return
    assert list(module.__all__) == sorted(set(module.__all__), key=str) or sorted(
        module.__all__
    ) == sorted(set(module.__all__))
    for name in module.__all__:
        assert hasattr(module, name), name


@per_file()
def test_every_module_has_a_docstring(path):
    assert ast.get_docstring(tree(path)), "say in a line what the module is for"


def test_the_face_only_re_exports():
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    for node in tree(PACKAGE / "__init__.py").body:
        assert isinstance(node, allowed), ast.dump(node)[:80]
    areas = [p.parent.name for p in PACKAGE.glob("*/__init__.py")]
    for area in set(areas) & {*LEVELS[1], "inspection"}:
        for name in import_module(f"skmmd.{area}").__all__:
            assert name in skmmd.__all__, f"{area}.{name} is missing from the face"
            assert getattr(skmmd, name) is getattr(import_module(f"skmmd.{area}"), name)
    assert skmmd.__version__


def code_lines(function):
    """Count the lines that hold code: no docstring, comments or blank lines."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return len(
        {
            line
            for statement in body
            for node in ast.walk(statement)
            if hasattr(node, "lineno")
            for line in (node.lineno, node.end_lineno)
        }
    )


@per_file()
def test_fit_is_short(path):
    for function in functions(tree(path)):
        if function.name in ("fit", "partial_fit", "_fit"):
            assert code_lines(function) <= 40, function.name


@per_file()
def test_sources_name_no_machine(path):
    text = path.read_text(encoding="utf-8")
    for word in ("/work/", "/root/", "/home/", "/tmp/"):
        assert word not in text, word


# --------------------------------------------------------------------------------------
# what an import does

PROBE = """
import json, sys, warnings
import numba.core.registry, numba
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, e):
        compiled.append(str(e.data["dispatcher"]))
    def on_end(self, e):
        pass
event.register("numba:compile", Listener())
import numpy, sklearn
before = dict(sklearn.get_config()), list(warnings.filters)
numpy_errors = numpy.geterr()
import scipy.linalg, scipy.special, sklearn.utils.validation, joblib, threadpoolctl
others = set(sys.modules)
import builtins
real_import, asked = builtins.__import__, []
def recording_import(name, globals=None, *args, **kwargs):
    if str((globals or {}).get("__name__")).split(".")[0] == "skmmd":
        asked.append(name)
    return real_import(name, globals, *args, **kwargs)
builtins.__import__ = recording_import
import skmmd
builtins.__import__ = real_import
after = dict(sklearn.get_config()), list(warnings.filters)
print(json.dumps({
    "asked": asked,
    "modules": sorted(set(sys.modules) - others),
    "config": before[0] == after[0],
    "filters": before[1] == after[1],
    "errors": numpy_errors == numpy.geterr(),
    "compiled": compiled,
}))
"""


@pytest.fixture(scope="module")
def fresh_import():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NUMBA_DISABLE_JIT": "0"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_loads_no_optional_library(fresh_import):
    """scikit-learn may load pandas by itself: what counts is what skmmd adds, and asks for."""
    loaded = {name.split(".")[0] for name in fresh_import["modules"]}
    assert "skmmd" in loaded
    assert not loaded & set(OPTIONAL)
    asked = {name.split(".")[0] for name in fresh_import["asked"]}
    assert {"numpy", "skmmd"} <= asked
    assert not asked & set(OPTIONAL)


def test_import_compiles_nothing(fresh_import):
    assert fresh_import["compiled"] == []


def test_import_changes_no_global_state(fresh_import):
    assert fresh_import["config"], "scikit-learn's configuration"
    assert fresh_import["filters"], "the warning filters"
    assert fresh_import["errors"], "NumPy's error state"


def test_the_compile_probe_can_see_a_compilation():
    """The probe above proves something only if it notices one."""
    code = PROBE.replace("import skmmd\n", "import skmmd\nnumba.njit(lambda x: x + 1)(1)\n")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "0"},
    )
    assert json.loads(done.stdout)["compiled"]


# --------------------------------------------------------------------------------------
# documentation of public objects


def public_objects():
    """Yield (dotted name, object) of everything in an __all__, and the methods of classes."""
    seen = set()
    names = ["skmmd"] + [
        m.name
        for m in pkgutil.walk_packages([str(PACKAGE)], "skmmd.")
        if m.ispkg and not any(p.startswith("_") for p in m.name.split("."))
    ]
    for module_name in names[::-1]:  # areas first, so that objects are named by their home
        module = import_module(module_name)
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value) or id(value) in seen:
                continue
            if not getattr(value, "__module__", "").startswith("skmmd"):
                continue
            seen.add(id(value))
            yield f"{module_name}.{name}", value
            if inspect.isclass(value):
                for method_name, method in vars(value).items():
                    if not method_name.startswith("_") and (
                        callable(method) or isinstance(method, (classmethod, staticmethod))
                    ):
                        yield f"{module_name}.{name}.{method_name}", getattr(value, method_name)


PUBLIC = dict(public_objects())
each_public = pytest.mark.parametrize("name", sorted(PUBLIC))


def signature_of(value):
    if inspect.isclass(value):
        # A frozen dataclass documents its fields; an estimator its constructor.
        parameters = list(inspect.signature(value).parameters.values())
    else:
        parameters = list(inspect.signature(value).parameters.values())
        if parameters and parameters[0].name in ("self", "cls"):
            parameters = parameters[1:]
    return [
        {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "") + p.name for p in parameters
    ]


def documented(value, section):
    doc = ClassDoc(value) if inspect.isclass(value) else FunctionDoc(value)
    return [
        name.strip()
        for parameter in doc[section]
        for name in (parameter.name.split(",") if parameter.name else [])
    ]


@each_public
def test_public_objects_document_their_parameters(name):
    value = PUBLIC[name]
    assert inspect.getdoc(value), "no docstring"
    listed = documented(value, "Parameters")
    if inspect.isclass(value) and not listed:
        # A result that is only ever returned lists what it holds as attributes.
        listed = documented(value, "Attributes")[: len(signature_of(value))]
    public = [p for p in signature_of(value) if not p.startswith("_")]
    assert listed == public


@each_public
def test_public_objects_follow_numpydoc(name):
    """Errors that are always wrong: unparsable sections, wrong order, missing summaries."""
    ignored = {"ES01", "EX01", "GL01", "GL08", "SA01", "YD01", "PR01", "PR02", "RT01"}
    errors = [(code, text) for code, text in validate(name)["errors"] if code not in ignored]
    assert not errors


@each_public
def test_public_objects_document_what_they_return(name):
    value = PUBLIC[name]
    if inspect.isclass(value):
        return
    annotation = inspect.signature(value).return_annotation
    if annotation in (None, "None"):
        return
    doc = FunctionDoc(value)
    assert doc["Returns"] or doc["Yields"]


@each_public
def test_public_classes_and_functions_have_an_example(name):
    if name.count(".") > 2:  # methods are shown in the example of their class
        return
    value = PUBLIC[name]
    doc = ClassDoc(value) if inspect.isclass(value) else FunctionDoc(value)
    assert any(">>>" in line for line in doc["Examples"])


@each_public
def test_public_functions_are_typed(name):
    value = PUBLIC[name]
    if inspect.isclass(value):
        return
    for parameter in inspect.signature(value).parameters.values():
        if parameter.name not in ("self", "cls"):
            assert parameter.annotation is not inspect.Parameter.empty, parameter.name
    assert inspect.signature(value).return_annotation is not inspect.Signature.empty


def test_the_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").exists()
