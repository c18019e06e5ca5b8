"""Which map of the student learns from which map of the teacher."""

import re
from collections.abc import Sequence

from common.errors import wrong
from nets.taps import TapSpec

TapSpecs = dict[str, TapSpec]


def resolve(
    taps: Sequence[str],
    student_taps: TapSpecs,
    teacher_taps: TapSpecs,
    *,
    maps: bool = False,
    equal_widths: bool = False,
) -> tuple[tuple[str, str], ...]:
    """Turns the hyperparameter `taps` into (student tap, teacher tap) pairs.

    With unequal numbers of stages, stages pair from the deepest. Each entry is one of

    * "stages": all stages that have a partner, the shallowest first;
    * "last_stage": the deepest stage of each;
    * "stage2": this stage of the student and the teacher's at the same distance from
      the deepest;
    * another tap's name: that tap of both;
    * "student:teacher": just these two; "last_stage" is allowed on each side.

    "stages_pre", "last_stage_pre" and "stage2_pre" mean the same before the ReLU.

    Args:
        taps: the entries.
        student_taps: the student's taps, by name.
        teacher_taps: the teacher's taps, by name.
        maps: whether taps must be maps, (H, W, C), and no vectors.
        equal_widths: whether the two taps of a pair need the same channels.

    Returns:
        The pairs, in the order of the entries.

    Raises:
        ValueError: a net has no taps or no maps, a tap does not exist or has no
            partner, a pair comes twice, there is none, a tap is no map although `maps`,
            or the channels differ although `equal_widths`.
    """
    _check_has_maps(student_taps, "student", taps, [e.split(":")[0] for e in taps])
    _check_has_maps(teacher_taps, "teacher", taps, [e.split(":")[-1] for e in taps])
    _check_has_taps(student_taps, "student", taps)
    _check_has_taps(teacher_taps, "teacher", taps)
    pairs = [
        pair for entry in taps for pair in _expand(entry, student_taps, teacher_taps)
    ]
    if not pairs or len(set(pairs)) < len(pairs):
        problem = "A pair of taps comes twice" if pairs else "No taps are chosen"
        raise wrong(
            problem,
            expected=f"different ones among {_sizes(student_taps)}",
            received=f"taps={','.join(taps)}",
        )
    for student, teacher in pairs:
        _check_exists(student, student_taps, "student", taps)
        _check_exists(teacher, teacher_taps, "teacher", taps)
        shapes = student_taps[student].shape, teacher_taps[teacher].shape
        received = f"{student} of the student {shapes[0]}, {teacher} of the teacher "
        received += f"{shapes[1]}"
        if maps and {len(shape) for shape in shapes} != {3}:
            raise wrong(
                "The method reads maps, not vectors",
                expected="taps of shape (H, W, C)",
                received=received,
            )
        if equal_widths and shapes[0][-1] != shapes[1][-1]:
            raise ValueError(
                "The method compares channel by channel. Expected taps with equal "
                f"numbers of channels. Received: {received}. Choose other nets, or a "
                "method without equal_widths."
            )
    return tuple(pairs)


def resolve_one(
    taps: Sequence[str], student_taps: TapSpecs, teacher_taps: TapSpecs
) -> tuple[str, str]:
    """`resolve` for methods that compare one tap of each net.

    Raises:
        ValueError: as for `resolve`, or there are several pairs.
    """
    pairs = resolve(taps, student_taps, teacher_taps)
    if len(pairs) > 1:
        raise wrong(
            "The method compares one tap of each net",
            expected="one pair",
            received=f"taps={','.join(taps)}, which are {len(pairs)} pairs",
        )
    return pairs[0]


def _stages(specs: TapSpecs, suffix: str) -> list[str]:
    """The stage taps, the shallowest first."""
    names = [name for name in specs if re.fullmatch(rf"stage\d+{suffix}", name)]
    return sorted(names, key=lambda name: int(re.findall(r"\d+", name)[0]))


def _expand(entry: str, student_taps: TapSpecs, teacher_taps: TapSpecs):
    """The pairs that one entry means; their taps may not exist."""
    if ":" in entry:
        student, _, teacher = entry.partition(":")
        return [(_deepest(student, student_taps), _deepest(teacher, teacher_taps))]
    match = re.fullmatch(r"(stages|last_stage|stage\d+)(_pre)?", entry)
    if not match:
        return [(entry, entry)]
    students = _stages(student_taps, match[2] or "")
    teachers = _stages(teacher_taps, match[2] or "")
    from_deepest = zip(reversed(students), reversed(teachers), strict=False)
    pairs = list(reversed(list(from_deepest)))
    if match[1] == "stages":
        return pairs
    if match[1] == "last_stage":
        return pairs[-1:]
    partners = dict(pairs)
    if entry in students and entry not in partners:
        raise wrong(
            f"The student's {entry} has no partner: the student has {len(students)} "
            f"stages, the teacher {len(teachers)}, and they pair from the deepest",
            expected=f"one of {', '.join(partners)}, or a pair such as "
            f"{entry}:{teachers[0] if teachers else 'last_map'}",
            received=f"taps={entry}",
        )
    return [(entry, partners.get(entry, entry))]


def _deepest(name: str, specs: TapSpecs) -> str:
    match = re.fullmatch(r"last_stage(_pre)?", name)
    stages = _stages(specs, match[1] or "") if match else ()
    return stages[-1] if stages else name


def _check_has_maps(specs: TapSpecs, net: str, taps: Sequence[str], names):
    """Tells why, where a net knows it (`nets.taps.TapSpecs.why_no_maps`)."""
    why = getattr(specs, "why_no_maps", "")
    are_maps = [re.fullmatch(r"(last_map|(last_)?stage\w*)", name) for name in names]
    if why and (any(are_maps) or not specs):
        raise wrong(
            f"The {net} shows no maps: {why}",
            expected="a method that reads logits, or one of "
            f"{_sizes(specs) or 'no taps'}",
            received=f"taps={','.join(taps)}",
        )


def _check_has_taps(specs: TapSpecs, net: str, taps: Sequence[str]):
    if not specs:
        raise wrong(
            f"The {net} shows no taps, because its layers are unknown: it is a "
            "subclassed Keras model, or one that holds another",
            expected="a Functional or Sequential one (nets.wrap), or a nets.base.Net, "
            "which returns its taps, as docs/your_model.md says; or a method that "
            "reads logits alone",
            received=f"taps={','.join(taps)}",
        )


def _check_exists(name: str, specs: TapSpecs, net: str, taps: Sequence[str]):
    if name not in specs:
        raise wrong(
            f"The {net} has no tap {name!r}",
            expected=f"one of {_sizes(specs)}",
            received=f"taps={','.join(taps)}",
        )


def _sizes(specs: TapSpecs) -> str:
    return ", ".join(f"{name} {spec.shape}" for name, spec in specs.items())
