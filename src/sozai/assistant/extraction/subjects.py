"""Which material a value belongs to: by brackets, lists, "of" and "for", the subject of the clause, and what came before."""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sozai.assistant.extraction.clauses import clause_of, in_brackets
from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.quantities import Found

_LIST = re.compile(
    r"\s?(?:\([^()]{1,30}\))?\s?(?:,\s?and|,|and|or|&|;|<|>)\s?(?:the\s|that of\s|those of\s|for\s|of\s|samples?\s|pure\s|pristine\s|neat\s)*",  # noqa: E501
    re.IGNORECASE,
)
_FOR = re.compile(
    r"\)?\s?(?:(?:,\s)?(?:at|@|above|below|in|under)\s[^,;]{1,40}?)?\s?(?:\([^()]*\)\s?)?,?\s?(?:(?:was|were|is|are|has been|have been)\s)?"  # noqa: E501
    r"(?:(?:obtained|measured|observed|found|achieved|reported|determined|recorded|reached|estimated|attained)\s)?(?:at\s[^,;]{1,25}?\s)?"
    r"(?:for|of|in|by|with|from|using)\s(?:the\s|a\s|an\s|our\s|pure\s|pristine\s|sample\s|neat\s)*(?:[\w-]+\s){0,2}$", re.IGNORECASE,  # noqa: E501
)  # fmt: skip
_AGAINST = re.compile(
    r"\b(?:versus|vs\.?|against|(?:compared|comparison) (?:with|to)|than)\s(?:only\s)?$", re.IGNORECASE
)
_WHOSE = re.compile(r"\)?,?\s(?:whose\s|which\s(?:has|had|shows|showed|exhibits|exhibited|possesses)\s)[^,;.]{0,70}")
_THAT_OF = re.compile(
    r"\b(?:that|those)\s(?:of|for|in)\s(?P<whose>(?:the\s|an?\s|its\s)?(?:[\w-]+\s){1,3}?)(?:(?:was|is|were|are|being|reached)\s)?(?:only\s|about\s|~\s?|\(\s?)?$",
    re.IGNORECASE,
)
_VALUE_OF = re.compile(
    r"\b(?:than|similar to|comparable (?:to|with)|compared (?:to|with))\s(?:the\s)?[^,;()]{3,40}\sof\s"
    r"(?P<whose>(?:the\s|an?\s)?(?:[a-z-]+\s){1,3})$"
)
"""Before a bracket: "smaller than the self-diffusion coefficient of liquid water"."""
_REST = re.compile(r"(?:(?:,\sand|,|\sand)\s~?\d[\d.±×^()-]*\s?[^\s,;\d]{1,12}(?=\s(?:for|of|in|and)\b|,))+")
"""For "1 GPa and 2 MPa, versus 3 GPa and 4 MPa for A": the rest of the second list."""
_OF = re.compile(
    r"(?:,?\s?\([^()]*\))?\s(?:(?:at|value|values|for lithium migration|under)\s[^,;]{0,20}?\s?)?(?:of|for|in|on)\s(?:the\s|a\s|an\s|our\s|both\s|all\s|pure\s|neat\s|pristine\s|original\s)*(?:[\w-]+\s){0,3}$",  # noqa: E501
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"(?:\bthan|\bcompared\s(?:to|with)|\bto that of|(?<!and )(?<!while )(?<!whereas )(?<!but )\bthat of|(?<!and )(?<!while )(?<!whereas )\bthose of|\blike|\bunlike|\bsimilar to|\bcomparable (?:to|with)|\bover|\bversus|\bvs\.?|\brelative to|\binstead of|\bthe value of|\bcloser? to)\s(?:the\s|that of\s|those of\s|a\s|pure\s|pristine\s|undoped\s|neat\s|commercial\s|conventional\s|value of\s)*(?:[\w-]+\s){0,4}$",  # noqa: E501
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(?:\bwith|\bby|\bon|\bonto|\busing|\bfrom|\bvia|\bas|\bin|\bunder|\badding|\bsuch as|\bincluding|\bpresence of|\be\.g\.,?|\baddition of|\bdoping|\bsubstitution of|\bcontent of|\bloading of|\bconcentration of|\bamount of|\bbetween|\binto|\bagainst|\bamong|\bamongst|\bimpregnating|\bwithout|\b\d\s?%|\bwt%|\bmol%|\bof conductive)\s(?:the\s|a\s|an\s|of\s)*(?:[\w-]+\s){0,1}$",  # noqa: E501
    re.IGNORECASE,
)


_HELPER = re.compile(
    r"-derived\s|\)?\s(?:(?:nano)?particles?|catalysts?|catalytic|ligands?|initiators?|complex|monomers?|dyads?|triads?|units?|moiet(?:y|ies)|linkages?|precursors?|solutions?|suspensions?|dispersions?|emulsions?|slurr(?:y|ies)|substrates?|targets?|additives?|fillers?|nanofillers?|supports?|binders?|crosslinkers?|plasticizers?|nucleating|binders?|hardeners?|solvents?|as\s(?:an?\s|the\s)?(?:[\w-]+\s){0,2}(?:catalyst|initiator|additive|filler|solvent|transport|pore|plasticizer|crosslink\w*|precursor|sintering|source|agent|aid|hardener|former|binder|buffer|template|flux|scavenger))\b",
    re.IGNORECASE,
)


_ADDED_SHARE = re.compile(
    r"(?:\b(?:with|containing|adding|addition of|incorporat\w+(?:\sof)?|loaded with|filled with|presence of|"
    r"at|by|of|for|as|and|or)\s"
    r"(?:the\s|only\s|about\s|additional\s|up to\s|an?\s(?:addition|content|loading)\sof\s)?|^)"
    r"\d+(?:\.\d+)?\s?(?:(?:wt|mol|vol|at|weight|mass)\.?\s?)?%\s(?:of\s)?$|"
    r"\b(?:addition|incorporation|content|contents|loading|loadings|amount|amounts|dosage|concentration)\sof\s(?:the\s)?$",
    re.IGNORECASE,
)
_PUT_INTO = re.compile(
    r"\)?\s(?:[\w-]+\s){0,2}(?:(?:was|were|is|are|been|being)\s)?(?:[a-z]+ly\s)?"
    r"(?:dispersed|embedded|incorporated|added|introduced|mixed|encapsulated|immobili[sz]ed|intercalated|impregnated|infiltrated)\s(?:in|into|to|within)\b"
)
_INTO = re.compile(
    r"(?:dispersed|embedded|incorporated|added|introduced|mixed|encapsulated|immobili[sz]ed|impregnated|infiltrated|"
    r"dispersing|embedding|incorporating|adding|introducing|(?:addition|incorporation|introduction) of [^,;.]{1,40})"
    r"\s(?:\S+\s){0,3}?(?:in|into|to|within)\s(?:the\s|an?\s)?(?:[a-z]+\s)?$"
)
"""What takes up a filler is the matrix: "dispersed in PVDF"."""
_MADE_FROM = re.compile(
    r"\b(?:(?:co)?polymeri[sz](?:ation|ing|ed)|(?:poly)?condensation|reaction|hydrolysis|reacting)\s"
    r"(?:of\s|between\s)?(?:the\s)?(?:[\w-]+\s){0,1}$",
    re.IGNORECASE,
)
_BUILT_OF = re.compile(
    r"\b(?:copolymer|terpolymer|blend|composite|hybrid|mixture|complex)(?:e?s)?\s"
    r"(?:of|from|between|based on|composed of|consisting of)\s$"
)
_VERB = re.compile(
    r"\)?\s(?:[a-z]+s?\s)?(?:[a-z]+ly\s)?(?:was|were|is|are|has|had|have|show|exhibit|gave|give|reach|possess|display|deliver|yield|attain)"
)
_PRODUCT = re.compile(
    r"\b(?:to (?:form|give|yield|produce|obtain|afford|prepare|make)|forming|giving|yielding|affording|"
    r"producing|obtaining|gave|afforded|yielded|(?:denoted|named|called|coded|designated|labell?ed|abbreviated)(?:\sas)?)\s"
    r"(?:the\s|an?\s)?(?:[a-z-]+\s){0,2}$"
)
_FED = re.compile(
    r"\b(?:rejections?|retentions?|removal|filtration|ultrafiltration|adsorption|separation|permeation|filter\w*|remov\w+|adsorb\w*)\s"
    r"(?:(?:rates?|efficienc(?:y|ies)|ratio)\s)?(?:(?:of|for|to|towards|against)\s)?(?:[\w-]+\s){0,3}$",
    re.IGNORECASE,
)
"""What a membrane holds back is not the membrane: "the rejection of silica nanoparticles"."""
_SHARE_BEHIND = re.compile(
    r"-(?:coated|modified|reinforced|filled|decorated|loaded|functionali[sz]ed|treated|toughened)\s|\)?\s(?:(?:nano)?(?:particles?|fillers?|tubes?|sheets?|fib(?:er|re)s?)\s)?(?:contents?|loadings?|concentrations?|fractions?|dosages?|ratios?|additions?)\b"
)


@dataclass(frozen=True)
class Choice:
    """A material for a value, how it was found, and why that may be wrong."""

    mention: Mention
    how: str
    doubt: str = ""


def lists_of(mentions: Sequence[Mention], plain: str) -> list[list[Mention]]:
    """Runs of names joined by commas and "and": "A, B and C"."""
    runs: list[list[Mention]] = []
    named = [mention for mention in mentions if mention.kind not in ("gas", "generic")]
    for mention in named:
        if runs and _LIST.fullmatch(plain[runs[-1][-1].end : mention.start]):
            runs[-1].append(mention)
        else:
            runs.append([mention])
    # "three polyurethanes, A, B and C": the first is what all of them are
    return runs + [run[1:] for run in runs if len(run) > 2 and run[0].kind == "name" and run[0].text.endswith("s")]


def choose(value: Found, cue: tuple[int, int] | None, rank: tuple[int, int] | None, mentions: Sequence[Mention], plain: str, start: int,  # noqa: E501
           end: int, pieces: Sequence[tuple[int, int]], same_property: Sequence[Found], device: bool) -> Choice | None:  # fmt: skip  # noqa: E501
    """The material that a value belongs to, among those its sentence names.

    Args:
        value: in the sentence.
        cue: place of the property's name.
        rank: its place in its list and the list's length, when it is in one.
        mentions: materials of the sentence.
        plain, start, end: of the sentence, signs unified.
        pieces: its clauses.
        same_property: values of that property in the sentence.
        device: whether devices count as materials.
    """
    kinds = ("gas",) if device else ("gas", "device")
    usable = [mention for mention in mentions if mention.kind not in kinds]
    if rank is not None and rank[1] > 1:
        runs = [run for run in lists_of(usable, plain) if len(run) == rank[1]]
        if runs:
            nearest = min(runs, key=lambda run: min(abs(run[0].start - value.end), abs(value.start - run[-1].end)))
            explicit = re.search(r"\brespectively\b", plain[start:end]) is not None
            return Choice(
                nearest[rank[0]],
                "list",
                "" if explicit else "the list of materials and of values are matched without 'respectively'",
            )
    bracket = in_brackets(plain, start, value.start)
    if bracket is not None:
        before = [
            mention for mention in usable if mention.end <= bracket and plain[mention.end : bracket].strip() == ""
        ]
        if before and before[-1].kind != "generic":
            return Choice(before[-1], "brackets")
    later = [other.start for other in same_property if other.start >= value.end]
    limit = min(later, default=end)
    before_it = [mention for mention in usable if mention.end <= value.start]
    for mention in usable:
        if value.end <= mention.start < limit and mention.kind not in ("generic", "device"):
            gap = plain[value.end : mention.start]
            if _AGAINST.search(plain[start : value.start]) and (rest := _REST.match(gap)):
                gap = gap[rest.end() :]
            added = re.search(r"\bby\s(?:using|use|adding|addition|incorporat\w+)\s", gap) or is_helper(plain, mention)
            if _FOR.fullmatch(gap) and not added and not _COMPARED.search(plain[value.end : mention.start]):
                return Choice(mention, "for")
            break
    if (told := _THAT_OF.search(plain, start, value.start)) is not None:
        its = [mention for mention in before_it if mention.start >= told.start("whose")]
        if its:
            return Choice(its[-1], "of")
    for mention in reversed(before_it):
        if mention.kind != "generic" and _WHOSE.fullmatch(plain[mention.end : value.start]):
            return Choice(mention, "of")
    for mention in usable:
        inside = re.fullmatch(r"\s?[(\[]\s?(?:for\s|in\s)?(?:the\s)?", plain[value.end : mention.start])
        if (
            inside
            and plain[mention.end : mention.end + 1] in (")", "]", ",")
            and mention.kind not in ("generic", "device")
        ):
            return Choice(mention, "brackets behind")
    home = clause_of(pieces, value.start)
    eligible = [mention for mention in before_it if not _COMPARED.search(plain[start : mention.start])]
    fresh = (
        cue is not None
        and home != clause_of(pieces, cue[0])
        and any(clause_of(pieces, mention.start) == home and mention.kind != "generic" for mention in eligible)
    )
    if cue is not None and cue[1] <= value.start and not fresh:
        named = [
            mention for mention in eligible if mention.start >= cue[1] and _OF.fullmatch(plain[cue[1] : mention.start])
        ]
        named = [mention for mention in named if mention.kind != "generic"] or named
        if named:
            return Choice(_narrowed(named[0], eligible, plain), "of")
    here = [mention for mention in eligible if clause_of(pieces, mention.start) == home]
    passing = asides(usable, plain, start)
    main = [mention for mention in here if mention not in passing]
    labels = [mention for mention in main if mention.kind not in ("generic", "device")]
    if main:
        pick = main[-1]
        for run in lists_of(main, plain):  # "a composite of A and B": A more than B
            pick = run[0] if pick in run and run[0] in main else pick
        if pick.kind in ("generic", "device") and labels and re.match(r"(?:it|its)$", pick.text, re.I):
            pick = labels[-1]
        named_after = [
            m
            for m in here
            if m.start >= pick.end
            and re.fullmatch(
                r"\s(?:of|based on|with|using|equipped with|assembled with|employing|having|containing|from|composed of|made of|made from|and|/|,)\s(?:the\s|a\s)?",  # noqa: E501
                plain[pick.end : m.start],
            )
        ]
        if pick.kind in ("generic", "device") and named_after and named_after[0].kind not in ("generic", "device"):
            pick = named_after[0]
        if pick.kind == "generic" and labels and not re.match(r"(?:it|its|they|their)$", pick.text, re.I):
            pick = labels[-1] if plain[labels[-1].end : pick.start].strip(" ()") in ("", "-", "/") else pick
        return Choice(pick, "clause")
    if cue is not None and home != clause_of(pieces, cue[0]):
        named = [mention for mention in eligible if mention.start >= cue[1]]
        if len({mention.text for mention in named}) == 1:
            return Choice(named[0], "cue")
    if here:
        return Choice(
            here[-1],
            "aside",
            "" if len({m.text for m in here}) == 1 else "the value may belong to another material of its clause",
        )
    earlier = [mention for mention in eligible if mention not in passing] or eligible
    if earlier:
        subjects = [mention for mention in earlier if mention.kind not in ("generic", "device")] or earlier
        doubt = (
            ""
            if len({mention.meaning for mention in subjects}) == 1
            else "the clause names no material; the one before names several"
        )
        return Choice(subjects[0] if doubt else subjects[-1], "earlier clause", doubt)
    after = [mention for mention in usable if mention.start >= value.end and clause_of(pieces, mention.start) == home]
    after = [
        mention
        for mention in after
        if not _COMPARED.search(plain[start : mention.start]) and mention.kind not in ("generic", "device")
    ]
    if after and after[0].start < limit:
        doubt = (
            ""
            if len({mention.meaning for mention in after}) == 1
            else "the material stands behind the value, with others"
        )
        return Choice(after[0], "behind", doubt)
    return None


def is_aside(plain: str, start: int, mention: Mention) -> bool:
    """Whether a material is named in passing: "using A", "with A", "compared with A"."""
    lead = plain[max(start, mention.start - 60) : mention.start]
    long = f"{mention.meaning} ("
    if mention.meaning != mention.text and plain.endswith(long, start, mention.start):
        lead = plain[max(start, mention.start - len(long) - 60) : mention.start - len(long)]  # "using X (Y)"
    if _INTO.search(lead) is not None:
        return False
    return any(pattern.search(lead) is not None for pattern in (_ASIDE, _COMPARED, _MADE_FROM))


def asides(mentions: Sequence[Mention], plain: str, start: int) -> list[Mention]:
    """The mentions named in passing, lists whole: in "made from A, B and C" all three."""
    out = [mention for mention in mentions if is_aside(plain, start, mention)]
    for first, second in pairwise(mentions):  # "a NASICON ceramic, Na3Zr2Si2PO12,"
        apposed = re.fullmatch(
            r"(?:-type)?\s[a-z]+(?:\s[a-z]+)?,\s(?:namely\s|viz\.\s)?", plain[first.end : second.start]
        )
        if (
            apposed
            and second.kind in ("formula", "label")
            and re.match(r"\s?(?:\([^()]*\))?[,;.]", plain[second.end :][:40])
        ):
            out.append(first)
    if any(re.search(r"-(?:b|co|g|block)-|/", m.text) for m in mentions):  # "a copolymer of A and B, A-b-B,"
        out += [m for m in mentions if m not in out and _BUILT_OF.search(plain[max(start, m.start - 40) : m.start])]
    for run in lists_of(mentions, plain):
        followers = run[1:] if run[0] in out and not is_compared(plain, start, run[0]) else []
        followers = [one for one in followers if re.search(r"-(?:b|co|g|block)-|/", one.text) is None]
        out += [one for one in followers if one not in out and not is_followed_by_verb(plain, one)]
    return out


def is_followed_by_verb(plain: str, mention: Mention) -> bool:
    """Whether a name is the subject of a verb right behind it: "A was", "A films show"."""
    return _VERB.match(plain, mention.end) is not None


def is_helper(plain: str, mention: Mention) -> bool:
    """Whether a name is that of a catalyst, a filler, a substrate and the like: "TiO2 nanoparticles", "SnO2 as"."""
    return _HELPER.match(plain, mention.end) is not None or _PUT_INTO.match(plain, mention.end) is not None


def is_product(plain: str, start: int, mention: Mention) -> bool:
    """Whether a name is that of what was made: "polymerized to form A", "giving A", "named A"."""
    return _PRODUCT.search(plain[max(start, mention.start - 40) : mention.start]) is not None


def is_added(plain: str, start: int, mention: Mention) -> bool:
    """Whether a name tells how much of something a sample holds: "with 5 wt% clay", "the clay content"."""
    lead = plain[max(start, mention.start - 60) : mention.start]
    if (
        _FED.search(lead) is not None
        and re.match(r"\)?\s(?:[a-z]+\s)?(?:membrane|film|layer)", plain[mention.end :]) is None
    ):
        return True
    used = _HELPER.match(plain, mention.end)
    if used is not None and " as " in used.group():
        return True  # "using PEG as an additive"
    return _ADDED_SHARE.search(lead) is not None or _SHARE_BEHIND.match(plain, mention.end) is not None


def is_of_another(plain: str, start: int, value: int, mentions: Sequence[Mention]) -> bool:
    """Whether a value is said to be that of something that is no known name: "that of the silicone 3 MPa"."""
    bracket = in_brackets(plain, start, value)
    found = _THAT_OF.search(plain, start, value) or (
        _VALUE_OF.search(plain, start, bracket) if bracket is not None else None
    )
    return found is not None and not any(found.start("whose") <= m.start < value for m in mentions)


def is_compared(plain: str, start: int, mention: Mention) -> bool:
    """Whether a material is one that another is compared with: "higher than that of A"."""
    return _COMPARED.search(plain[max(start, mention.start - 60) : mention.start]) is not None


def _narrowed(mention: Mention, eligible: Sequence[Mention], plain: str) -> Mention:
    """ "the composite of A" is A."""
    if mention.kind == "generic":
        for other in eligible:
            if other.start >= mention.end and re.fullmatch(
                r"\s(?:of|based on|with|containing)\s(?:the\s|a\s)?", plain[mention.end : other.start]
            ):
                return other
    return mention
