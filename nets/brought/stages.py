"""Which tensors of a model's graph are the ends of its stages."""

import math

from nets.brought import kinds, preprocessing
from nets.brought.opened import Graph


class Stages:
    """The maps of a graph, and which of them end a stage.

    Attributes:
        pixels: ids of tensors that are pixels still.
        linear: ids of tensors that are linear in the pixels.
        layers: "stage1", ... -> name of a step, from the largest map to the smallest.
        why_no_maps: why there are none, or "".
    """

    def __init__(self, graph: Graph):
        self._steps = graph.steps
        self._positions = {id(graph.inputs[0]): -1} | {
            id(x): i for i, step in enumerate(graph.steps) for x in step.outputs
        }
        self._users = self._all_users()
        self._ancestors = self._all_ancestors()
        self._named = [id(x) for x in graph.named_outputs.values()]
        self.pixels = preprocessing.pixels(graph)
        self.linear = self._all_linear()
        self._scores = self._all_scores(graph.outputs[0])
        self._through = self._on_every_path(graph)
        self._height = self._height_of_pixels(graph)
        self.layers = self._choose()
        self.why_no_maps = "" if self.layers else self._why_no_maps()

    def is_linear_patch(self, tensor) -> bool:
        """Whether it is a linear map of the pixels in a net that has but tokens."""
        return id(tensor) in self.linear and not self.layers and self._has_tokens()

    # What is known of every step.

    def _all_users(self) -> list[list[int]]:
        users = [[] for _ in self._steps]
        for i, step in enumerate(self._steps):
            for j in {self._positions[id(x)] for x in step.inputs} - {-1}:
                users[j].append(i)
        return users

    def _all_ancestors(self) -> list[int]:
        """As bits: step j is one of i's if bit j is set."""
        ancestors = []
        for step in self._steps:
            own = 0
            for j in {self._positions[id(x)] for x in step.inputs} - {-1}:
                own |= ancestors[j] | 1 << j
            ancestors.append(own)
        return ancestors

    def _all_linear(self) -> set[int]:
        linear = set(self.pixels)
        for step in self._steps:
            if kinds.is_linear(step) and all(id(x) in linear for x in step.inputs):
                linear |= set(map(id, step.outputs))
        return linear

    def _all_scores(self, output) -> set[int]:
        """Maps of which the output is made without weights: class scores by place.

        A convolution makes them in nets without a dense head, such as SqueezeNet.
        """
        scores, weighs = set(), False
        while not weighs and self._positions[id(output)] >= 0:
            step = self._steps[self._positions[id(output)]]
            scores.add(id(output))
            norm = isinstance(step.operation, kinds.NORMS)
            weighs = bool(preprocessing.weights(step.operation)) and not norm
            if len(step.inputs) != 1:
                break
            (output,) = step.inputs
        return scores if weighs else set()

    def _on_every_path(self, graph) -> list[bool]:
        """Whether all that flows from the images to the output flows through a step."""
        last = [max(users, default=0) for users in self._users]
        for output in graph.outputs:
            last[self._positions[id(output)]] = len(self._steps)
        images = graph.inputs[0]
        furthest = max(
            i for i, s in enumerate(self._steps) if any(x is images for x in s.inputs)
        )
        through = []
        for i in range(len(self._steps)):
            # In this order an edge leads past a step exactly if a path avoids it.
            through.append(furthest <= i)
            furthest = max(furthest, last[i])
        return through

    # Maps, by resolution.

    def _height_of_pixels(self, graph) -> int:
        """After resizing, if there is one: the height that is halved from then on."""
        height = graph.inputs[0].shape[1]
        for i, (x, *_) in enumerate(step.outputs for step in self._steps):
            is_resized = self._through[i] and id(x) in self.pixels and kinds.is_map(x)
            if is_resized and not kinds.is_passive(self._steps[i].operation):
                height = x.shape[1]
        return height

    def _is_feature(self, i: int) -> bool:
        """Whether a step makes one map that is more than pixels, and not scores."""
        step = self._steps[i]
        is_map = len(step.outputs) == 1 and kinds.is_map(step.outputs[0])
        if not is_map or id(step.outputs[0]) in self.pixels:
            return False
        is_scores = id(step.outputs[0]) in self._scores
        return not is_scores and not kinds.is_passive(step.operation)

    def _halvings(self, i: int) -> int:
        """How often the height was halved, rounded."""
        return round(math.log2(self._height / self._steps[i].outputs[0].shape[1]))

    def _choose(self) -> dict[str, str]:
        maps = {}
        for i in range(len(self._steps)):
            if self._is_feature(i):
                maps.setdefault(self._halvings(i), []).append(i)
        curved = {n: self._curved(found) for n, found in maps.items()}
        if any(curved.values()):
            maps = curved
        elif self._has_tokens():
            maps = {}  # patches of pixels, which tokens are made of
        ends = [self._end(maps[n]) for n in sorted(maps) if maps[n]]
        names = [self._steps[i].name for i in ends if i is not None]
        return {f"stage{n}": name for n, name in enumerate(names, 1)}

    def _curved(self, found: list[int]) -> list[int]:
        return [i for i in found if id(self._steps[i].outputs[0]) not in self.linear]

    def _end(self, maps: list[int]) -> int | None:
        """The end of the stage among the maps of a resolution."""
        named = [i for i in maps if id(self._steps[i].outputs[0]) in self._named]
        if named:
            return named[-1]
        through = [i for i in maps if self._through[i]]
        if not through:  # something leads past each of them
            sums = [i for i in maps if kinds.is_sum(self._steps[i])]
            through = self._chain(sums) or self._chain(maps)
        if not through:
            return None
        if self._is_last(through[-1]):
            return through[-1]
        ends = [i for i in through if self._ends_block(i)]
        if not ends or self._convolves_after(ends[-1], through):
            return through[-1]
        return self._with_activation(ends[-1])

    def _chain(self, maps: list[int]) -> list[int]:
        """Those that all others of them lead to or come from: no parallel branches."""
        return [i for i in maps if all(self._related(i, j) for j in maps)]

    def _related(self, i: int, j: int) -> bool:
        return i == j or bool(self._ancestors[max(i, j)] >> min(i, j) & 1)

    def _is_last(self, i: int) -> bool:
        """Whether no smaller map is made of it but by pooling it as a whole."""
        height = self._steps[i].outputs[0].shape[1]
        for j in range(i + 1, len(self._steps)):
            shape = self._steps[j].outputs[0].shape
            is_after = self._ancestors[j] >> i & 1 and len(shape) == 4
            is_smaller = is_after and shape[1] and shape[1] < height
            if is_smaller and self._is_smaller_stage(i, j):
                return False
        return True

    def _is_smaller_stage(self, i: int, j: int) -> bool:
        """Whether step j after i makes a smaller map, be it of one pixel."""
        step = self._steps[j]
        if kinds.is_map(step.outputs[0]):
            return self._halvings(j) != self._halvings(i)
        sources = [x for x in step.inputs if len(x.shape) == 4]
        shrinks = any(x.shape[1] and x.shape[1] > 1 for x in sources)
        return shrinks and not kinds.pools_all(step)

    def _ends_block(self, i: int) -> bool:
        """A sum, or the narrow linear end of a block, which the next one expands."""
        step = self._steps[i]
        if kinds.is_sum(step):
            return True
        made_by = step.operation
        if isinstance(made_by, kinds.NORMS):
            j = self._positions[id(step.inputs[0])]
            made_by = self._steps[j].operation if j >= 0 else None
        mixes = isinstance(made_by, kinds.CONVOLUTIONS)
        mixes = mixes and not isinstance(made_by, kinds.DEPTHWISE)
        if not mixes or not kinds.has_no_activation(made_by):
            return False
        users = [self._steps[j].operation for j in self._active_users(i)]
        return bool(users) and all(isinstance(x, kinds.CONVOLUTIONS) for x in users)

    def _active_users(self, i: int) -> list[int]:
        users = []
        for j in self._users[i]:
            passive = kinds.is_passive(self._steps[j].operation)
            users += self._active_users(j) if passive else [j]
        return users

    def _convolves_after(self, i: int, through: list[int]) -> bool:
        """Whether more than a 1x1 convolution of the next block follows."""
        later = (self._steps[j].operation for j in through if j > i)
        return any(
            isinstance(x, kinds.CONVOLUTIONS) and max(x.kernel_size) > 1 for x in later
        )

    def _with_activation(self, i: int) -> int:
        """The activation of a sum, where nothing else uses the sum."""
        users = self._users[i]
        if len(users) == 1 and kinds.is_activation(self._steps[users[0]].operation):
            return users[0]
        return i

    # Where there are no maps.

    def _has_tokens(self) -> bool:
        return any(
            len(x.shape) == 3 and id(x) not in self.linear
            for step in self._steps
            for x in step.outputs
        )

    def tokens_after(self, tensor) -> bool:
        """Whether the model goes on in tokens [B, N, D] from a map."""
        i = self._positions[id(tensor)]
        return any(
            len(x.shape) == 3 and self._ancestors[j] >> i & 1 and self._through[j]
            for j, step in enumerate(self._steps)
            for x in step.outputs
        )

    def _why_no_maps(self) -> str:
        if self._has_tokens():
            return (
                "it computes tokens, which are not supported yet, and what comes "
                "before them are pixels or a linear map of them; only embedding and "
                "logits can be used"
            )
        if any(self._is_feature(i) for i in range(len(self._steps))):
            return (
                "no map was found that all of it flows through, as in models with "
                "parallel branches; name layers of it as taps"
            )
        return (
            "its graph has no maps [B, H, W, C] with H and W above 1 behind its "
            "preprocessing: they are inside a layer with a call of its own, or a model "
            "with several outputs (build it on the outer input), or there are none; "
            "only embedding and logits can be used"
        )
