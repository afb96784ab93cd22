"""The man page and the completion scripts come with the wheel."""

import json
import tomllib
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = {
    "share/man/man1/vkmapctl.1",
    "share/bash-completion/completions/vkmapctl",
    "share/zsh/site-functions/_vkmapctl",
    "share/fish/vendor_completions.d/vkmapctl.fish",
}


def is_editable():
    told = distribution("vkmapctl").read_text("direct_url.json")
    return bool(told) and json.loads(told).get("dir_info", {}).get("editable", False)


def test_the_wheel_has_them():
    """An installed wheel has the files; an editable install leaves them out, and has what a wheel is made of."""
    if is_editable():
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
        assert {source for sources in declared.values() for source in sources} == FILES
        assert all(Path(source).parent == Path(folder) for folder, sources in declared.items() for source in sources)
        assert all((ROOT / source).stat().st_size for source in FILES)
        return
    files = distribution("vkmapctl").files or []
    found = {name: path for path in files for name in FILES if path.as_posix().endswith(name)}
    assert set(found) == FILES
    assert all(path.locate().stat().st_size for path in found.values())
