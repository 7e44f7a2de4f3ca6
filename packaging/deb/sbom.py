"""What is in a package? Every distribution with version, licence and the hash of its wheel (CycloneDX)."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

LICENCES = LicenseFactory()


def write(package: str, version: str, architecture: str, libraries: Path, wheels: Path) -> str:
    """Return the list as JSON; native libraries bundled in wheels are named with their hashes too."""
    hashes = {_name(wheel): _sha256(wheel) for wheel in wheels.glob("*.whl")}
    bom = _bom_of(package, version, architecture, "AGPL-3.0-or-later")
    for distribution in distributions(path=[str(libraries)]):
        if distribution.name != "anninh":
            bom.components.add(_component(distribution, hashes))
    for file in sorted(libraries.glob("*.libs/*.so*")):
        bom.components.add(_native(file))
    return _as_json(bom)


def write_model(package: str, version: str, manifest: dict) -> str:
    """Return the list of a model's package: its files with their hashes, whose they are."""
    bom = _bom_of(package, version, "all", manifest["licence"])
    for file in filter(None, (manifest, manifest["weights"])):
        bom.components.add(
            Component(
                name=file["file"],
                group=manifest["name"],
                description=manifest["source"],
                type=ComponentType.MACHINE_LEARNING_MODEL,
                bom_ref=f"{manifest['name']}/{file['file']}",
                licenses=[LICENCES.make_from_string(manifest["licence"])],
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file["sha256"])],
            )
        )
    return _as_json(bom)


def _bom_of(package: str, version: str, architecture: str, licence: str) -> Bom:
    bom = Bom()
    bom.metadata.component = Component(
        name=package,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=package,
        purl=PackageURL("deb", "anninh", package, version, {"arch": architecture}),
        licenses=[LICENCES.make_from_string(licence)],
    )
    return bom


def _as_json(bom: Bom) -> str:
    assert bom.metadata.component
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=1)


def _component(distribution: Distribution, hashes: dict[str, str]) -> Component:
    name, version = distribution.name, distribution.version
    digest = hashes[_plain(name)]
    licence = distribution.metadata.get("License-Expression") or distribution.metadata.get("License") or ""
    classified = [
        line.rpartition(" :: ")[2]
        for line in distribution.metadata.get_all("Classifier") or ()
        if line.startswith("License :: ")
    ]
    said = licence.strip() if licence and "\n" not in licence.strip() else (classified or [""])[0]
    purl = PackageURL("pypi", None, _plain(name), version)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        licenses=[LICENCES.make_from_string(said)] if said else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )


def _native(file: Path) -> Component:
    """ffmpeg and its kin travel in wheels without metadata of their own."""
    owner = file.parent.name.removesuffix(".libs")
    return Component(
        name=file.name,
        group=owner,
        type=ComponentType.FILE,
        bom_ref=f"{owner}/{file.name}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=_sha256(file))],
    )


def _name(wheel: Path) -> str:
    return _plain(wheel.name.split("-")[0])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
