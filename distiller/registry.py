"""Names of the methods, as users of the field know them."""

import difflib
from collections.abc import Callable, Sequence

from common import origin
from common.errors import wrong
from distiller import (
    ab,
    afd,
    at,
    bss,
    cc,
    crd,
    dml,
    fitnet,
    fsp,
    ft,
    irg,
    kd_eid,
    kd_svd,
    logits,
    lwm,
    mhgd,
    mlkd,
    none,
    nst,
    ofd,
    pkt,
    rkd,
    sobolev,
    soft_logits,
    sp,
    vid,
)
from distiller.framework import base, registration

# One line for each method of the repository: name -> (class, aliases).
METHODS = {
    # From labels alone.
    "none": (none.NoDistillation, ("baseline", "CE")),
    # From logits.
    "Soft_logits": (soft_logits.SoftLogits, ("KD", "ST", "Soft-logit")),
    "Logits": (logits.Logits, ()),
    "DML": (dml.DML, ()),
    # From maps and their gradients.
    "FitNet": (fitnet.FitNet, ("hint",)),
    "AT": (at.AT, ("attention",)),
    "NST": (nst.NST, ()),
    "AB": (ab.AB, ("abound",)),
    "VID": (vid.VID, ()),
    "FT": (ft.FT, ("factor",)),
    "OFD": (ofd.OFD, ("CO", "margin_ReLU", "overhaul")),
    "AFD": (afd.AFD, ()),
    "LwM": (lwm.LwM, ()),
    "Sobolev": (sobolev.Sobolev, ()),
    "BSS": (bss.BSS, ()),
    # From flows between levels.
    "FSP": (fsp.FSP, ()),
    "KD_SVD": (kd_svd.KDSVD, ()),
    "KD_EID": (kd_eid.KDEID, ()),
    "MHGD": (mhgd.MHGD, ()),
    # From relations between images.
    "RKD": (rkd.RKD, ()),
    "PKT": (pkt.PKT, ()),
    "SP": (sp.SP, ("similarity",)),
    "CC": (cc.CC, ("correlation",)),
    "IRG": (irg.IRG, ()),
    "CRD": (crd.CRD, ()),
    "MLKD": (mlkd.MLKD, ()),
}

# The same of those that `register` added, in the order in which it did.
_REGISTERED: dict[str, tuple[type[base.Distiller], tuple[str, ...]]] = {}


def register(name: str, aliases: Sequence[str] = ()) -> Callable[[type], type]:
    """Makes a class of one's own a method wherever a built-in one is.

    >>> @register("Mine", aliases=("My",))
    ... class Mine(base.Distiller): ...

    The same class registered again under its name, by a notebook's cell or a file that
    is run twice, takes the place of the earlier one.

    Args:
        name: a letter, then letters, digits, "_" and "-".
        aliases: other names of it.

    Returns:
        A decorator that returns the class as it is.

    Raises:
        ValueError: a name cannot be one or is taken, or the class is no method: no
            subclass of `Distiller`, without a loss, or with hyperparameters that
            `--hparam` cannot read.
    """
    if isinstance(aliases, str):
        aliases = (aliases,)
    for spelling in (name, *aliases):
        registration.check_name(spelling)

    def add(method: type) -> type:
        registration.check(method, name)
        _check_free(name, aliases, method)
        _REGISTERED[name] = (method, tuple(aliases))
        return method

    return add


def names() -> tuple[str, ...]:
    """The methods' names; "A+B" sums two, and aliases are known, too.

    Those of `register` come last.
    """
    return tuple(_all())


def canonical(name: str) -> str:
    """The one spelling of a method's name, or of a sum, that keys and configs use.

    >>> canonical("vid+kd")
    'VID+Soft_logits'

    Raises:
        ValueError: there is no such method, or a sum names one twice.
    """
    return "+".join(parts_of(name))


def parts_of(name: str) -> tuple[str, ...]:
    """The canonical names of the methods in a sum, in the written order.

    Raises:
        ValueError: there is no such method, or one is named twice.
    """
    parts = tuple(_find(part) for part in name.split("+"))
    if len(set(parts)) < len(parts):
        raise wrong(
            "A sum has a method twice",
            expected="different methods; change the weight instead",
            received=f"{name=}, that is {'+'.join(parts)}",
        )
    return parts


def aliases(name: str) -> tuple[str, ...]:
    """The other names of a method, given its canonical name."""
    return _all()[name][1]


def method_class(name: str) -> type[base.Distiller]:
    """The class of a method, given its canonical name."""
    return _all()[name][0]


def folded(name: str) -> str:
    """`name` without what does not matter: case, "-", "_" and outer spaces."""
    return name.strip().lower().replace("-", "").replace("_", "")


def _all() -> dict:
    return {**METHODS, **_REGISTERED}


def _check_free(name: str, others: Sequence[str], method: type) -> None:
    """Raises ValueError if a name is that of another method."""
    taken = _spellings()
    for spelling in (name, *others):
        owner = taken.get(folded(spelling))
        if owner is None:
            continue
        if owner == name and origin.is_same(_all()[owner][0], method):
            continue
        raise wrong(
            "This is the name of another method",
            expected="a name that none has, or the same class of the same file again",
            received=f"name={spelling!r} for "
            f"{method.__module__}.{method.__qualname__}, which is {owner}, "
            f"{method_class(owner).__module__}.{method_class(owner).__qualname__}",
        )


def _spellings() -> dict[str, str]:
    """Folded names and aliases -> canonical names."""
    return {
        folded(spelling): name
        for name, (_, others) in _all().items()
        for spelling in (name, *others)
    }


def _find(name: str) -> str:
    spellings = _spellings()
    if folded(name) not in spellings:
        close = difflib.get_close_matches(folded(name), spellings, n=1)
        raise wrong(
            "There is no method of this name",
            nearest=spellings[close[0]] if close else "",
            expected=f"one of {_listed(names())}, or a sum such as VID+Soft_logits; "
            "case, '-' and '_' do not matter; one of your own needs --imports=FILE.py",
            name=name,
        )
    return spellings[folded(name)]


def _listed(known: Sequence[str]) -> str:
    return ", ".join(
        f"{name} ({', '.join(aliases(name))})" if aliases(name) else name
        for name in known
    )
