"""Which of the scanned pictures stay: refusals, copies, conflicts and a person's verdicts, each with its reason."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dataset.duplicates import Comparison, Star, components, stars
from dataset.folder import Record, class_of, records
from dataset.quality import defect, flags
from dataset.relations import Pairs
from dataset.review.verdicts import Verdict, read_verdicts
from dataset.scan import Picture
from dataset.tray import Build

GALLERY = 12
"""Pictures of one web page that share a side; a page with more is taken for a list of unlike things."""
DECISIVE = 3
"""Finds, by engine and term, that a class needs to win a conflict, and how many times as many as the next one."""
LOSSLESS = frozenset({"PNG", "BMP", "TIFF"})

MERITS = (
    "more of it to see",
    "the other is but enlarged",
    "lossless",
    "less compressed",
    "fetched earlier",
    "first by its content",
)
Merit = tuple[int, bool, bool, int, str, str]
Contradict = Callable[[frozenset[str]], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """One file: the class folder it lies in, its path below the folder of class folders, and its content."""

    name: str
    source: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """One file that does not go into the dataset, and why."""

    source: str
    label: str
    sha256: str
    reason: str
    """``duplicate bytes``, ``near duplicate``, ``conflict``, ``review``, or what is wrong with the file."""
    kept: str = ""
    """The copy that stays, or the picture it is in conflict with."""
    detail: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    """One picture that stays: its content, the classes it counts for, and everything its copies knew."""

    sha256: str
    source: str
    classes: frozenset[str]
    members: tuple[str, ...]
    """SHA-256 of the picture and of its copies."""
    copies: tuple[str, ...]
    """Paths of the copies."""
    flags: tuple[str, ...]
    width: int
    height: int
    urls: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    fetched: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What stays, what goes, and which pictures must share a side."""

    kept: list[Kept]
    rejected: list[Rejected]
    links: list[tuple[str, str]]
    """Pairs of contents that are the same or belong together."""
    galleries: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of contents that one web page shows together: a hint that they belong together."""
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of files of different classes that show one picture."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What manifests say of one content, over all its addresses."""

    urls: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    fetched: str = ""
    finds: frozenset[tuple[str, str, str]] = frozenset()
    """Class folder, engine and term of each search that found it."""


def provenance(folders: Mapping[str, Path]) -> dict[str, Provenance]:
    """Return what the manifests of class folders say, by SHA-256."""
    found: dict[str, list[tuple[str, Record]]] = defaultdict(list)
    for name, folder in folders.items():
        for record in records(folder):
            if record.sha256:
                found[record.sha256].append((name, record))
    return {sha: _joined(lines) for sha, lines in found.items()}


def _joined(lines: Sequence[tuple[str, Record]]) -> Provenance:
    def every(key: str) -> tuple[str, ...]:
        return tuple(sorted({value for _, line in lines if (value := getattr(line, key))}))

    fetched = every("fetched")
    finds = frozenset((name, line.engine, line.term) for name, line in lines if line.term)
    return Provenance(every("url"), every("page"), every("term"), every("engine"), fetched[0] if fetched else "", finds)


def reviews(folders: Mapping[str, Path]) -> dict[str, Verdict]:
    """Return what a person said of files in the review, by path."""
    return {f"{name}/{file}": one for name, folder in folders.items() for file, one in read_verdicts(folder).items()}


def choose(  # noqa: PLR0913 - everything that is known comes together here
    scanned: Sequence[tuple[str, Picture]],
    pairs: Pairs,
    *,
    order: Sequence[str],
    contradict: Contradict,
    known: Mapping[str, Provenance],
    said: Mapping[str, Verdict],
    settings: Build,
    dealt: Mapping[str, str],
) -> Choice:
    """Decide on every file.

    ``scanned`` is the path of each file, which begins with its class, and what lies in it; ``order`` the classes, the
    first one first; ``dealt`` the splits of earlier builds by SHA-256.
    The result depends on contents, names and settings alone, not on the order of files.
    """
    pictures: dict[str, Picture] = {}
    places: dict[str, list[Place]] = defaultdict(list)
    rejected: list[Rejected] = []
    files = Counter(picture.info.sha256 for _, picture in scanned)
    spread = {sha: addresses(known[sha].urls if sha in known else (), files=count) for sha, count in files.items()}
    for source, picture in sorted(scanned, key=lambda row: (order.index(class_of(row[0])), row[0])):
        name, info = class_of(source), picture.info
        verdict, label = (said[source].verdict, said[source].label) if source in said else ("", "")
        if verdict == "relabel" and label in order:
            name = label
        detail = _thrown_out_as(verdict, label, order)
        reason = "review" if detail else ""
        score = 0.0
        if not reason and info.error:
            reason = info.error
        elif not reason and picture.measures and not verdict:
            reason, score = defect(
                info, picture.measures, settings.checks,
                min_side=settings.min_side, places=spread[info.sha256],
            ) or ("", 0.0)  # fmt: skip
        if reason:
            rejected.append(Rejected(source, name, info.sha256, reason, score=score, detail=detail))
            continue
        pictures[info.sha256] = picture
        places[info.sha256].append(Place(name, source, info.sha256))
    for spot, thrown in _thrown_out(places, pairs, known, said, dict(scanned)):
        why = "it came after a copy of it had been thrown out"
        rejected.append(Rejected(spot.source, spot.name, spot.sha256, "review", kept=thrown, detail=why))
        places[spot.sha256].remove(spot)
        if not places[spot.sha256]:
            del places[spot.sha256], pictures[spot.sha256]
    for sha, tied in held_out(pictures, pairs, dealt).items():
        for spot in places.pop(sha):
            kept = f"ties pictures of {' and '.join(tied)}"
            rejected.append(Rejected(spot.source, spot.name, sha, "held out", detail=kept))
        del pictures[sha]
    confirmed = frozenset(source for source, one in said.items() if one.verdict in {"keep", "relabel"})
    held = _held(pictures, pairs)
    merits = {sha: _merit(one, known.get(sha), sha, held.get(sha)) for sha, one in pictures.items()}
    chooser = _Chooser(pictures, merits, places, rejected, known, spread, confirmed, order, contradict, settings)
    return chooser.choose(sorted(pictures, key=lambda sha: merits[sha]), pairs)


def _thrown_out_as(verdict: str, label: str, order: Sequence[str]) -> str:
    """Return how a person threw a file out, in words; nothing where nobody did."""
    if verdict == "drop":
        return "dropped"
    return f"relabelled {label}, which is no class here" if verdict == "relabel" and label not in order else ""


def _thrown_out(
    places: Mapping[str, Sequence[Place]],
    pairs: Pairs,
    known: Mapping[str, Provenance],
    said: Mapping[str, Verdict],
    scanned: Mapping[str, Picture],
) -> list[tuple[Place, str]]:
    """Return files that were fetched after a person had thrown a copy of them out of their class, each with that copy.

    A copy that was there already may be the one that was meant to stay, and one that was kept is.
    """
    gone: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for source, one in sorted(said.items()):
        if one.verdict == "drop" and one.time and source in scanned:
            gone[scanned[source].info.sha256].append((source, one.time))
    found: dict[Place, str] = {}
    for (a, b), how in pairs.items() if gone else ():
        for sha, other in ((a, b), (b, a)):
            if how.verdict != "same" or other not in gone or sha not in places or sha not in known:
                continue
            for spot in places[sha]:
                for source, time in gone[other]:
                    if spot.name == class_of(source) and spot.source not in said and known[sha].fetched > time:
                        found[spot] = min(source, found.get(spot, source))
    return sorted(found.items(), key=lambda one: one[0].source)


def addresses(urls: Iterable[str], *, files: int) -> int:
    """Return under how many paths of one host, or names of files, the same bytes were found.

    A good picture has an address at each of many hosts; what one host says when it has none is at many of its own.
    """
    paths: dict[str, set[str]] = defaultdict(set)
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"}:
            paths[parts.netloc].add(parts.path)
    return max(files, *map(len, paths.values()), 1)


def _held(pictures: Mapping[str, Picture], pairs: Mapping[tuple[str, str], Comparison]) -> dict[str, int]:
    """Return of each picture that is but an enlargement how many thousand pixels the smallest such original has."""
    found: dict[str, int] = {}
    for (a, b), how in sorted(pairs.items()):
        if how.enlarged and a in pictures and b in pictures:
            least = _thousands(pictures[b if how.enlarged == a else a])
            found[how.enlarged] = min(least, found.get(how.enlarged, least))
    return found


def _thousands(picture: Picture) -> int:
    """Return how many thousand pixels of the picture itself there are.

    Bars and captions hide part of it or add what is no part of it; a fifth fewer pixels are worth that.
    """
    border = picture.measures.border if picture.measures else 0.0
    return round(picture.info.width * picture.info.height * (1 - border) / 1000)


def _merit(picture: Picture, known: Provenance | None, sha256: str, held: int | None) -> Merit:
    """Sort the best copy first, by what ``MERITS`` names; ``held`` is what an enlargement holds."""
    info = picture.info
    return (
        -(_thousands(picture) if held is None else held),
        held is not None,
        info.format not in LOSSLESS,
        -picture.size,
        (known.fetched if known else "") or "~",
        sha256,
    )


@dataclass(frozen=True, slots=True)
class _Chooser:
    pictures: dict[str, Picture]
    merits: Mapping[str, Merit]
    places: dict[str, list[Place]]
    rejected: list[Rejected]
    known: Mapping[str, Provenance]
    spread: Mapping[str, int]
    confirmed: frozenset[str]
    """Files whose class a person has confirmed."""
    order: Sequence[str]
    contradict: Contradict
    settings: Build

    def choose(self, best: list[str], pairs: Pairs) -> Choice:
        here = {pair: how for pair, how in pairs.items() if pair[0] in self.pictures and pair[1] in self.pictures}
        same: dict[str, dict[str, Comparison]] = defaultdict(dict)
        for (a, b), how in here.items():
            if how.verdict == "same":
                same[a][b] = same[b][a] = how
        found = stars(best, same)
        conflicts, out_of = self._conflicts(found, same)
        kept: list[Kept] = []
        for star in found:
            kept += self._settle(star, out_of)
        self.rejected.sort(key=lambda one: (one.source, one.reason))
        return Choice(
            sorted(kept, key=lambda one: one.source), self.rejected, list(here), self._galleries(), sorted(conflicts)
        )

    def _classes(self, shas: Iterable[str]) -> frozenset[str]:
        return frozenset(place.name for sha in shas for place in self.places[sha])

    def _conflicts(
        self, found: list[Star], same: Mapping[str, Mapping[str, Comparison]]
    ) -> tuple[set[tuple[str, str]], dict[str, str]]:
        """Return the pairs of files in conflict, and for each content in one the file that it clashes with."""
        conflicts: set[tuple[str, str]] = set()
        clashes: dict[str, str] = {}
        for sha in self.pictures:
            for other in (sha, *sorted(same.get(sha, {}))):
                if not self.contradict(self._classes((sha, other))):
                    continue
                for place in self.places[sha]:
                    for facing in self.places[other]:
                        if self.contradict(frozenset({place.name, facing.name})):
                            clashes.setdefault(sha, facing.source)
                            if (place.source in self.confirmed) != (facing.source in self.confirmed):
                                continue
                            first, second = sorted((place.source, facing.source))
                            conflicts.add((first, second))
        by_star = {}
        for star in found:
            members = (star.kept, *(sha for sha, _ in star.copies))
            clash = next((clashes[sha] for sha in members if sha in clashes), "")
            if clash:
                by_star[star.kept] = clash
        return conflicts, by_star

    def _settle(self, star: Star, out_of: Mapping[str, str]) -> list[Kept]:
        """Keep one picture of a star, or one for each class, or none, and note what becomes of the others."""
        how = dict(star.copies)
        # The best of those that are left stays where the centre may not.
        members = (star.kept, *sorted(how, key=lambda sha: self.merits[sha]))
        classes = self._classes(members)
        if star.kept not in out_of:
            return [self._keep(members, how, classes)]
        clash = out_of[star.kept]
        if said := self._said(members):
            return [self._win(members, how, said, "review", "a person chose")]
        if self.settings.conflicts == "keep-all":
            return [
                self._keep([sha for sha in members if name in self._classes((sha,))], how, frozenset({name}))
                for name in sorted(classes)
            ]
        first = min(classes, key=self.order.index)
        if self.settings.conflicts == "keep-first" and self.order.index(first) <= self.order.index(class_of(clash)):
            return [self._win(members, how, frozenset({first}), "conflict", f"{first} comes first")]
        winner, why = self._most_found(members)
        if winner and self.settings.conflicts == "drop":
            return [self._win(members, how, frozenset({winner}), "conflict", why)]
        self._refuse(members, frozenset(), clash)
        return []

    def _said(self, members: Iterable[str]) -> frozenset[str]:
        """Return the classes that a person confirmed for files of these contents; none when they contradict too."""
        said = frozenset(place.name for sha in members for place in self.places[sha] if place.source in self.confirmed)
        return frozenset() if self.contradict(said) else said

    def _most_found(self, members: Sequence[str]) -> tuple[str, str]:
        """Return the class that far more searches found these contents for, and the figures; else nothing."""
        searches = {find for sha in members if sha in self.known for find in self.known[sha].finds}
        finds = Counter(dict.fromkeys(self._classes(members), 0))
        finds.update(name for name, _, _ in searches if name in finds)
        (winner, most), (other, fewer), *_ = [*finds.most_common(), ("", 0)]
        if not other or most < DECISIVE * max(1, fewer):
            return "", ""
        return winner, f"found by {most} searches for {winner}, {fewer} for {other}"

    def _win(
        self, members: Sequence[str], how: Mapping[str, Comparison], classes: frozenset[str], reason: str, why: str
    ) -> Kept:
        """Keep the best of the contents that lie in the winning classes, and refuse what lies in others."""
        staying = [sha for sha in members if classes & self._classes((sha,))]
        one = self._keep(staying, how, classes)
        self._refuse(members, classes, one.source, reason, why)
        return one

    def _keep(self, members: Sequence[str], how: Mapping[str, Comparison], classes: frozenset[str]) -> Kept:
        """Keep the first of the contents for ``classes``; its other files and contents are its copies."""
        sha = members[0]
        mine = [place for place in self.places[sha] if place.name in classes]
        source = mine[0].source
        copies = []
        for member in members:
            for place in self.places[member]:
                if place.name not in classes or place.source == source:
                    continue
                copies.append(place.source)
                same_bytes = member == sha
                # What is known is how each lies to the star's centre.
                seen = None if sha in how else how.get(member)
                self.rejected.append(
                    Rejected(
                        place.source,
                        place.name,
                        member,
                        "duplicate bytes" if same_bytes else "near duplicate",
                        kept=source,
                        detail="" if same_bytes else self._why(sha, member, seen),
                        score=seen.distance if seen and not same_bytes else 0.0,
                    )
                )
        said = [self.known[member] for member in members if member in self.known]
        info, measures = self.pictures[sha].info, self.pictures[sha].measures

        def every(key: str) -> tuple[str, ...]:
            return tuple(sorted({value for one in said for value in getattr(one, key)}))

        fetched = sorted(one.fetched for one in said if one.fetched)
        marks = tuple(flags(info, measures, self.settings.checks, places=self.spread[sha])) if measures else ()
        return Kept(
            sha, source, classes, tuple(members), tuple(sorted(copies)), marks,
            info.width, info.height,
            every("urls"), every("pages"), every("terms"), every("engines"), fetched[0] if fetched else "",
        )  # fmt: skip

    def _why(self, kept: str, copy: str, how: Comparison | None) -> str:
        return _why(self.pictures[kept], self.pictures[copy], (self.merits[kept], self.merits[copy]), how)

    def _refuse(
        self, members: Iterable[str], spared: frozenset[str], clash: str, reason: str = "conflict", why: str = ""
    ) -> None:
        places = [place for sha in members for place in self.places[sha]]
        for place in places:
            if place.name in spared:
                continue
            # A file of the class that the clash is with is shown one that is not.
            own = {one.source for one in places if one.name == place.name}
            other = next((one.source for one in places if one.name != place.name), clash) if clash in own else clash
            self.rejected.append(Rejected(place.source, place.name, place.sha256, reason, kept=other, detail=why))

    def _galleries(self) -> list[tuple[str, str]]:
        """Return links between pictures that one web page shows together."""
        pages: dict[str, list[str]] = defaultdict(list)
        for sha in sorted(self.pictures):
            for page in self.known[sha].pages if sha in self.known else ():
                pages[page].append(sha)
        # An import says with a file's address what belongs together, however many: crops of one photo, a track.
        shown = (shas for page, shas in pages.items() if len(shas) <= GALLERY or page.startswith("file:"))
        return [(shas[0], other) for shas in shown for other in shas[1:]]


def _why(kept: Picture, copy: Picture, merits: tuple[Merit, Merit], how: Comparison | None) -> str:
    """Say in a few words why the kept one was better, and how the copy was told."""
    sizes = f"{kept.info.width}x{kept.info.height} kept over {copy.info.width}x{copy.info.height}"
    first, second = merits
    better = MERITS[next(at for at in range(len(MERITS)) if first[at] != second[at])]
    told = f"; {how.distance} bits, {how.turn or 'as it is'}, correlation {how.correlation}" if how else ""
    return f"{sizes}, {better}{told}"


def held_out(
    contents: Iterable[str], pairs: Iterable[tuple[str, str]], dealt: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the new contents that tie old ones of two splits, with these splits.

    Old ones stay where they were dealt, so a picture that belongs to both sides can go to neither.
    """
    new = {sha for sha in contents if sha not in dealt}
    here = new | {sha for sha in contents if sha in dealt}
    neighbours: dict[str, set[str]] = defaultdict(set)
    for a, b in pairs:
        if a in here and b in here and (a in new or b in new):
            neighbours[a].add(b)
            neighbours[b].add(a)
    roots = {sha: sha for sha in new}
    sides: dict[str, set[str]] = {}

    def root(sha: str) -> str:
        while roots[sha] != sha:
            sha = roots[sha]
        return sha

    held = {}
    for sha in sorted(new & neighbours.keys()):
        near = {root(other) for other in neighbours[sha] if other in new and other in sides}
        together = {dealt[other] for other in neighbours[sha] if other in dealt}.union(*(sides[one] for one in near))
        if len(together) > 1:
            held[sha] = sorted(together)
            continue
        sides[sha] = together
        for other in near:
            roots[other] = sha
    return held


def groups(choice: Choice, contents: Iterable[str], dealt: Mapping[str, str]) -> dict[str, str]:
    """Return for each content the key of the group that shares a side with it.

    What one web page shows together is joined too, unless that would tie pictures that were dealt to two splits.
    """
    copies = [(one.sha256, member) for one in choice.kept for member in one.members[1:]]
    keys = components(contents, [*choice.links, *copies])
    sides: dict[str, set[str]] = defaultdict(set)
    for sha, key in keys.items():
        if sha in dealt:
            sides[key].add(dealt[sha])
    joined = dict.fromkeys(sorted(set(keys.values())))
    roots = {key: key for key in joined}

    def root(key: str) -> str:
        while roots[key] != key:
            key = roots[key]
        return key

    for a, b in choice.galleries:
        if a not in keys or b not in keys:
            continue
        first, second = sorted((root(keys[a]), root(keys[b])))
        if first != second and len(sides[first] | sides[second]) < 2:
            roots[second] = first
            sides[first] |= sides[second]
    return {sha: root(key) for sha, key in keys.items()}
