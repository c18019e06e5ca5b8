"""The models of users, and what a person who reads them would say of each."""

import dataclasses

FULL, OTHER = (32, "float32"), (24, "mixed_float16")


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One of the models.

    Attributes:
        name: MODULE.FUNCTION, of `users_models`.
        trap: what went wrong with such a model.
        stages: of each stage the layers that may be called its end, the best one first.
        before: "stageN_pre" -> the layer whose output its ReLU gets.
        taps: "maps", "tokens" (none but the embedding is offered) or "none".
        why_no_maps: a word of the line that methods of maps get, where there are none.
        scaling: how the model wants its pixels.
        begins_with_pixels: whether it says so itself, by a layer that rescales.
        probabilities: whether its outputs are probabilities.
        has_head: whether one dense layer makes its logits of one vector.
        variants: sizes and precisions in which it is tried.
        imports: whether its file has to be imported to load it.
        quick: how many of its variants are tried without `-m slow`.
    """

    name: str
    trap: str
    stages: tuple[tuple[str, ...], ...] = ()
    before: dict[str, str] = dataclasses.field(default_factory=dict)
    taps: str = "maps"
    why_no_maps: str = ""
    scaling: str = "unit"
    begins_with_pixels: bool = False
    probabilities: bool = False
    has_head: bool = True
    variants: tuple[tuple[int, str], ...] = (FULL, OTHER)
    imports: bool = False
    quick: int = 1


_RESIDUAL = (("block1_out",), ("block2_out",), ("block3_out",))
_SUMS = {f"stage{i}_pre": f"block{i}_add" for i in (1, 2, 3)}
_FOR_TRANSFER = {
    "stages": _RESIDUAL,
    "before": _SUMS,
    "scaling": "pixels",
    "probabilities": True,
}
_BACKBONE = {"stages": (("conv2",), ("conv3",), ("relu4",))}
_NORM = {"stage3_pre": "norm4"}
# The layer after the last sum changes the width alone: both may be called the end.
_MOBILE = (("block1b_add",), ("block2b_add",), ("block3b_add", "top_act", "top_bn"))

CASES = (
    Case(
        "transfer.build",
        "a frozen base vanished from the sizes, augmentation became a stage",
        **_FOR_TRANSFER,
    ),
    Case(
        "transfer.rescaled",
        "the same behind a Rescaling layer",
        begins_with_pixels=True,
        **_FOR_TRANSFER,
        quick=0,
    ),
    Case(
        "transfer.finetuned",
        "unfrozen: its batch norms move though it was called with training=False",
        **_FOR_TRANSFER,
        quick=0,
    ),
    Case(
        "transfer.mobilenet",
        "a base of keras.applications, one layer of the outer model",
        stages=(
            ("expanded_conv_project_BN",),
            ("block_2_add",),
            ("block_5_add",),
            ("block_12_add",),
            ("block_16_project_BN", "block_15_add", "out_relu"),
        ),
        scaling="pixels",
        probabilities=True,
        variants=((64, "float32"), (96, "mixed_float16")),
        quick=0,
    ),
    Case(
        "nested.build",
        "the backbone is one layer",
        before=_NORM,
        **_BACKBONE,
        quick=0,
    ),
    Case(
        "nested.sequential",
        "the backbone is one layer of a Sequential",
        before=_NORM,
        probabilities=True,
        variants=((32, "float64"), (24, "mixed_bfloat16")),
        **_BACKBONE,
        quick=0,
    ),
    Case(
        "nested.two_levels",
        "a model in a model in a model had no stages",
        probabilities=True,
        **_BACKBONE,
        quick=0,
    ),
    Case(
        "nested.whole",
        "the softmax is inside as well",
        scaling="pixels",
        begins_with_pixels=True,
        probabilities=True,
        **_BACKBONE,
    ),
    Case(
        "nested.same_names",
        "layers of the backbone and around it share their names",
        stages=(("conv2d",), ("conv2d_1",)),
    ),
    Case(
        "blocks.build",
        "an activation attribute that is not the last operation",
        stages=(("block1",), ("block2",)),
        imports=True,
    ),
    Case(
        "blocks.smoothed",
        "a layer derived from Dense does more after the softmax",
        stages=(("block1",), ("block2",)),
        probabilities=True,
        has_head=False,
        imports=True,
    ),
    Case(
        "blocks.rows",
        "a recurrent layer's activation works inside its cell",
        stages=(("stem",),),
        has_head=False,
        quick=0,
    ),
    Case(
        "subclassed.build",
        "no graph: no taps, probabilities, a dropout's state among the parameters",
        taps="none",
        why_no_maps="subclassed",
        probabilities=True,
        has_head=False,
        imports=True,
    ),
    Case(
        "subclassed.logits",
        "no graph, logits",
        taps="none",
        why_no_maps="subclassed",
        has_head=False,
        imports=True,
        quick=0,
    ),
    Case(
        "subclassed.plain",
        "its call takes the images alone",
        taps="none",
        why_no_maps="subclassed",
        has_head=False,
        variants=(FULL, (32, "mixed_float16")),
        imports=True,
        quick=0,
    ),
    Case(
        "penalised.build",
        "penalties of outputs counted again before the activation",
        stages=(("conv1",), ("conv2",)),
        probabilities=True,
        imports=True,
        quick=2,
    ),
    Case(
        "branches.build",
        "branches, a layer that is used twice, a head on two poolings",
        stages=(("mixed1",), ("sum_out",)),
        before={"stage2_pre": "sum"},
    ),
    Case(
        "branches.one_dense_twice",
        "two paths through the same layers: no map that everything flows through",
        taps="none",
        why_no_maps="parallel",
        has_head=False,
        quick=0,
    ),
    Case(
        "mobile.build",
        "the last layer at a resolution is inside the next block",
        stages=_MOBILE,
        scaling="pixels",
        begins_with_pixels=True,
        probabilities=True,
        quick=0,
    ),
    Case(
        "mobile.efficient",
        "the same, with maps of one pixel in between",
        stages=_MOBILE,
        scaling="pixels",
        begins_with_pixels=True,
        probabilities=True,
        quick=0,
    ),
    Case(
        "preprocessed.build",
        "a Sequential of preprocessing layers became a stage",
        stages=(("relu1",), ("relu2",)),
        before={"stage1_pre": "norm1", "stage2_pre": "norm2"},
        scaling="pixels",
        begins_with_pixels=True,
    ),
    Case(
        "preprocessed.normalised",
        "the preprocessing changes the size",
        stages=(("relu1",), ("relu2",)),
        scaling="pixels",
        begins_with_pixels=True,
        quick=0,
    ),
    Case(
        "vit.build",
        "the patch convolution became stage1 and last_map",
        taps="tokens",
        why_no_maps="token",
        scaling="pixels",
        begins_with_pixels=True,
        probabilities=True,
        imports=True,
    ),
    Case(
        "vit.of_the_guide",
        "no convolution at all: the augmentation became a stage",
        taps="tokens",
        why_no_maps="token",
        scaling="pixels",
        begins_with_pixels=True,
        imports=True,
        quick=0,
    ),
    Case(
        "vit.pooled",
        "a mean of tokens",
        taps="tokens",
        why_no_maps="token",
        quick=0,
    ),
)
