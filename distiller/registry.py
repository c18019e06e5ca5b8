"""Names of the methods, as users of the field know them."""

import difflib
from collections.abc import Sequence

from distiller import (
    ab,
    afd,
    at,
    base,
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

# One line for each method: name -> (class, aliases).
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


def names() -> tuple[str, ...]:
    """The methods' names; "A+B" sums two, and aliases are known, too."""
    return tuple(METHODS)


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
        raise ValueError(
            "A sum has a method twice. Expected different methods; change the weight "
            f"instead. Received: name={name!r}, that is {'+'.join(parts)}."
        )
    return parts


def aliases(name: str) -> tuple[str, ...]:
    """The other names of a method, given its canonical name."""
    return METHODS[name][1]


def method_class(name: str) -> type[base.Distiller]:
    """The class of a method, given its canonical name."""
    return METHODS[name][0]


def folded(name: str) -> str:
    """`name` without what does not matter: case, "-", "_" and outer spaces."""
    return name.strip().lower().replace("-", "").replace("_", "")


def _spellings() -> dict[str, str]:
    """Folded names and aliases -> canonical names."""
    return {
        folded(spelling): name
        for name, (_, others) in METHODS.items()
        for spelling in (name, *others)
    }


def _find(name: str) -> str:
    spellings = _spellings()
    if folded(name) not in spellings:
        close = difflib.get_close_matches(folded(name), spellings, n=1)
        hint = f" Did you mean {spellings[close[0]]!r}?" if close else ""
        raise ValueError(
            f"There is no method of this name.{hint} Expected one of "
            f"{_listed(names())}, or a sum such as VID+Soft_logits; case, '-' and '_' "
            f"do not matter. Received: name={name!r}."
        )
    return spellings[folded(name)]


def _listed(known: Sequence[str]) -> str:
    return ", ".join(
        f"{name} ({', '.join(aliases(name))})" if aliases(name) else name
        for name in known
    )
