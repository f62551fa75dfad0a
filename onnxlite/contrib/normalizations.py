"""Normalizations, and additions and look-ups before them.

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from onnxlite.contrib.call import Call, attributes, constant, function


@function("LayerNormalization", domain="", inputs="X Scale B", outputs="Y Mean InvStdDev")
@function("LayerNormalization", inputs="X Scale B", outputs="Y Mean InvStdDev")
def layer_normalization(call: Call, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> str:
    """The operator of ai.onnx 17, which onnxruntime has in earlier versions too."""
    outputs = "Y, Mean, InvStdDev" if call.wants("Mean") or call.wants("InvStdDev") else "Y"
    return f"{outputs} = LayerNormalization{attributes(axis=axis, epsilon=epsilon, stash_type=stash_type)}(X, Scale, B)"


@function("SimplifiedLayerNormalization", domain="", inputs="X scale", outputs="Y inv_std_var")
@function("SimplifiedLayerNormalization", inputs="X scale", outputs="Y inv_std_var")
def simplified_layer_normalization(call: Call, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> str:
    """``x / sqrt(mean(x ** 2) + epsilon) * scale``; onnxruntime has it in the domain ai.onnx."""
    deviation = _deviation("X", "inv_std_var", axis, epsilon) if call.wants("inv_std_var") else ""
    return f"""
        Y = RMSNormalization{attributes(axis=axis, epsilon=epsilon, stash_type=stash_type)}(X, scale)
        {deviation}
    """


def _deviation(source: str, target: str, axis: int, epsilon: float) -> str:
    """``1 / sqrt(mean(x ** 2) + epsilon)`` over the dimensions from an axis on."""
    return f"""
        wide = Cast<to = 1>({source})
        squares = Mul(wide, wide)
        shape = Shape(squares)
        rank = Size(shape)
        one_step = {constant(1)}
        axis_given = {constant(axis)}
        axis_first = {"Add(rank, axis_given)" if axis < 0 else "Identity(axis_given)"}
        axes = Range(axis_first, rank, one_step)
        mean_square = ReduceMean(squares, axes)
        little = {constant(float(epsilon))}
        shifted = Add(mean_square, little)
        root = Sqrt(shifted)
        {target} = Reciprocal(root)
    """


@function(
    "SkipLayerNormalization", inputs="input skip gamma beta bias", outputs="output mean inv_std_var input_skip_bias_sum"
)
def skip_layer_normalization(call: Call, *, epsilon: float = 1e-12) -> str:
    """The LayerNormalization of ``input + skip + bias`` over the last axis."""
    outputs = "output, mean, inv_std_var" if call.wants("mean") or call.wants("inv_std_var") else "output"
    return f"""
        {_sum(call)}
        {outputs} = LayerNormalization{attributes(epsilon=epsilon)}(total, gamma, beta)
    """


@function(
    "SkipSimplifiedLayerNormalization",
    inputs="input skip gamma bias",
    outputs="output mean inv_std_var input_skip_bias_sum",
)
def skip_simplified_layer_normalization(call: Call, *, epsilon: float = 1e-12) -> str:
    """The RMSNormalization of ``input + skip + bias`` over the last axis."""
    if call.wants("mean"):
        raise call.decline("the output mean")
    return f"""
        {_sum(call)}
        output = RMSNormalization{attributes(epsilon=epsilon)}(total, gamma)
        {_deviation("total", "inv_std_var", -1, epsilon) if call.wants("inv_std_var") else ""}
    """


def _sum(call: Call) -> str:
    """``total``, which is an output too."""
    first = "biased = Add(input, bias)" if call.has("bias") else "biased = Identity(input)"
    return f"""
        {first}
        total = Add(biased, skip)
        {"input_skip_bias_sum = Identity(total)" if call.wants("input_skip_bias_sum") else ""}
    """


@function(
    "EmbedLayerNormalization",
    inputs=("input_ids segment_ids word_embedding position_embedding segment_embedding gamma beta mask position_ids"),
    outputs="output mask_index embedding_sum",
)
def embed_layer_normalization(call: Call, *, epsilon: float = 1e-12, mask_index_type: int = 0) -> str:
    """The LayerNormalization of the sum of a word's, a position's and a segment's embedding.

    ``mask_index`` counts the words of each sentence that the mask, 1 for a word, does not hide.
    """
    text = "words = Gather(word_embedding, input_ids)"
    if call.has("position_ids"):
        text += "\nplaces = Gather(position_embedding, position_ids)"
    else:
        text += f"""
            shape = Shape<start = 1, end = 2>(input_ids)
            first = {constant((0,))}
            places = Slice(position_embedding, first, shape, first)
        """
    text += "\nplaced = Add(words, places)"
    if call.has("segment_embedding"):
        text += """
            segments = Gather(segment_embedding, segment_ids)
            total = Add(placed, segments)
        """
    else:
        text += "\ntotal = Identity(placed)"
    if call.wants("embedding_sum"):
        text += "\nembedding_sum = Identity(total)"
    return f"""
        {text}
        output = LayerNormalization{attributes(epsilon=epsilon)}(total, gamma, beta)
        {_mask_index(call) if call.wants("mask_index") else ""}
    """


def _mask_index(call: Call) -> str:
    """How many words each sentence has; 0 where there is no mask."""
    if not call.has("mask"):
        return """
            batch = Shape<start = 0, end = 1>(input_ids)
            none = ConstantOfShape(batch)
            mask_index = CastLike(none, input_ids)
        """
    return f"""
        one = {constant((1,))}
        zero = {constant(0)}
        zero_like = CastLike(zero, mask)
        hidden = Equal(mask, zero_like)
        seen = Not(hidden)
        counted = CastLike(seen, mask)
        mask_index = ReduceSum<keepdims = 0>(counted, one)
    """


@function("GroupNorm", inputs="X gamma beta", outputs="Y")
def group_norm(call: Call, *, activation: int, groups: int, channels_last: int = 1, epsilon: float = 1e-5) -> str:
    """The GroupNormalization of images, perhaps with their channels last, and its Swish if ``activation`` is 1."""
    return _grouped("X", activation, groups, channels_last, epsilon)


@function("SkipGroupNorm", inputs="X gamma beta skip bias", outputs="Y S")
def skip_group_norm(call: Call, *, activation: int, groups: int, channels_last: int = 1, epsilon: float = 1e-5) -> str:
    """The GroupNorm of ``X + skip + bias``, where one skip may serve all pixels of an image."""
    if not channels_last:
        raise call.decline("channels_last=0")
    flat = "skip"
    text = ""
    if call.rank("skip") == 2:
        text = f"""
            pixel_axes = {constant((1, 2))}
            spread = Unsqueeze(skip, pixel_axes)
        """
        flat = "spread"
    bias = "biased = Add(X, bias)" if call.has("bias") else "biased = Identity(X)"
    return f"""
        {text}
        {bias}
        total = Add(biased, {flat})
        {"S = Identity(total)" if call.wants("S") else ""}
        {_grouped("total", activation, groups, channels_last, epsilon)}
    """


def _grouped(source: str, activation: int, groups: int, channels_last: int, epsilon: float) -> str:
    before = "Transpose<perm = [0, 3, 1, 2]>" if channels_last else "Identity"
    after = "Transpose<perm = [0, 2, 3, 1]>" if channels_last else "Identity"
    return f"""
        images = {before}({source})
        scale = CastLike(gamma, images)
        shift = CastLike(beta, images)
        normal = GroupNormalization{attributes(epsilon=epsilon, num_groups=groups)}(images, scale, shift)
        result = {"Swish" if activation else "Identity"}(normal)
        Y = {after}(result)
    """
