"""GroupQueryAttention: the attention of language models, with a cache of the keys and values before.

Source: onnxruntime, docs/ContribOperators.md.  Lengths: B batch, S new tokens, C of the cache, L of the cache after the
step, N heads of queries, M heads of keys and values, H of a head.
"""

from __future__ import annotations

import math

from onnxlite.contrib.attention import joined_heads, split_heads
from onnxlite.contrib.call import Call, attributes, constant, function


@function(
    "GroupQueryAttention",
    inputs=(
        "query key value past_key past_value seqlens_k total_sequence_length cos_cache sin_cache position_ids "
        "attention_bias head_sink k_scale v_scale q_norm_weight k_norm_weight query_seqlens"
    ),
    outputs="output present_key present_value output_qk",
)
def group_query_attention(
    call: Call,
    *,
    causal: int = 1,
    do_rotary: int = 0,
    k_norm_epsilon: float | None = None,
    k_quant_type: str = "NONE",
    kv_cache_bit_width: int = 0,
    kv_num_heads: int,
    local_window_size: int = -1,
    num_heads: int,
    q_norm_epsilon: float | None = None,
    qk_norm_epsilon: float = 1e-6,
    qk_output: int = 0,
    rotary_interleaved: int = 0,
    scale: float = 0.0,
    sliding_window_cache: int = 0,
    smooth_softmax: int = -1,
    softcap: float = 0.0,
    v_quant_type: str = "NONE",
) -> str:
    """Attention of new tokens to themselves and to those in the cache, each sentence with a length of its own.

    New keys and values go into the cache behind the ``seqlens_k + 1 - S`` that are in it; in a first prompt, whose
    sentences may end early, at its start.
    """
    if k_quant_type != "NONE" or v_quant_type != "NONE" or kv_cache_bit_width or sliding_window_cache:
        raise call.decline("a quantized cache, or one of the window alone")
    unserved = [n for n in ("k_scale", "v_scale", "query_seqlens") if call.has(n)]
    if unserved or call.wants("output_qk"):
        raise call.decline(f"{unserved[0] if unserved else 'the output output_qk'}")
    norms = {"q": q_norm_epsilon or qk_norm_epsilon, "k": k_norm_epsilon or qk_norm_epsilon}
    sink = call.has("head_sink") or smooth_softmax == 1
    window = local_window_size - 1 if local_window_size > 0 else -1
    attend = _attend_with_sink if sink else _attend
    return f"""
        {_operands(call, num_heads, kv_num_heads)}
        {_normalized(call, norms)}
        {_places(causal)}
        {_rotated(call, rotary_interleaved) if do_rotary else _not_rotated()}
        {_with_cache(call, attend(call, causal, window, scale, softcap, num_heads))}
        {joined_heads("attended", "output")}
    """


def _operands(call: Call, num_heads: int, kv_num_heads: int) -> str:
    """``q_given`` (B, N, S, H), ``k_given`` and ``v`` (B, M, S, H)."""
    if call.has("key"):
        return f"""
            {split_heads("query", "q_given", num_heads)}
            {split_heads("key", "k_given", kv_num_heads)}
            {split_heads("value", "v", kv_num_heads)}
        """
    return f"""
        {split_heads("query", "packed", num_heads + 2 * kv_num_heads)}
        heads = {constant((num_heads, kv_num_heads, kv_num_heads))}
        q_given, k_given, v = Split<axis = 1>(packed, heads)
    """


def _normalized(call: Call, epsilons: dict[str, float]) -> str:
    """``q_normal`` and ``k_normal``: each head normalized, if there are weights for that."""
    lines = []
    for name, epsilon in epsilons.items():
        normalized = f"RMSNormalization{attributes(epsilon=float(epsilon))}({name}_given, {name}_norm_weight)"
        lines.append(f"{name}_normal = {normalized if call.has(f'{name}_norm_weight') else f'Identity({name}_given)'}")
    return "\n".join(lines)


def _places(causal: int) -> str:
    """``first`` (B): where the new tokens start in the cache; ``ends`` (B): how many keys there are then."""
    return f"""
        last_keys = Cast<to = 7>(seqlens_k)
        flat = {constant((-1,))}
        last_key = Reshape(last_keys, flat)
        one = {constant(1)}
        zero = {constant(0)}
        counts = Add(last_key, one)
        new_count = Shape<start = 2, end = 3>(q_given)
        before = Sub(counts, new_count)
        first = Max(before, zero)
        ends = {"Max(counts, new_count)" if causal else "Identity(counts)"}
        first_column = Unsqueeze(first, flat)
        scalar = Constant <value = int64[0] {{}}> ()
        new_scalar = Reshape(new_count, scalar)
        steps = Range(zero, new_scalar, one)
        following = Add(first_column, steps)
    """


def _rotated(call: Call, interleaved: int) -> str:
    """``q`` and ``k``: turned by their positions; the caches say how many elements of a head turn."""
    shape = call.shape("cos_cache")
    turned = 2 * shape[-1] if shape and isinstance(shape[-1], int) else None
    rotary = attributes(interleaved=interleaved, rotary_embedding_dim=turned)
    positions = "position_ids" if call.has("position_ids") else "following"
    return f"""
        q = RotaryEmbedding{rotary}(q_normal, cos_cache, sin_cache, {positions})
        k = RotaryEmbedding{rotary}(k_normal, cos_cache, sin_cache, {positions})
    """


def _not_rotated() -> str:
    return """
        q = Identity(q_normal)
        k = Identity(k_normal)
    """


def _with_cache(call: Call, attend: str) -> str:
    """``attended``, ``present_key`` and ``present_value`` (B, M, L, H), from what attends to the latter.

    A cache that has no room for all tokens grows by the new ones: both cases have shapes that are known beforehand.
    """
    if not call.has("past_key"):
        return f"""
            present_key = Identity(k)
            present_value = Identity(v)
            {attend.format(y="attended", key="present_key", value="present_value")}
        """
    return f"""
        total_wide = Cast<to = 7>(total_sequence_length)
        total = Reshape(total_wide, scalar)
        room_list = Shape<start = 2, end = 3>(past_key)
        room = Reshape(room_list, scalar)
        has_room = LessOrEqual(total, room)
        attended, present_key, present_value = If (has_room) <
            then_branch = in_place () => (attended_in, key_in, value_in) {{ {_branch(attend, "in", grows=False)} }},
            else_branch = grown () => (attended_on, key_on, value_on) {{ {_branch(attend, "on", grows=True)} }}
        >
    """


def _branch(attend: str, mark: str, grows: bool) -> str:
    """One way to write to the cache, and what attends to it; the results end in a mark, as both branches have them."""
    grow = """
        key_zeros_shape = Shape(k)
        value_zeros_shape = Shape(v)
        key_zeros_float = ConstantOfShape(key_zeros_shape)
        value_zeros_float = ConstantOfShape(value_zeros_shape)
        key_zeros = CastLike(key_zeros_float, past_key)
        value_zeros = CastLike(value_zeros_float, past_value)
        key_cache = Concat<axis = 2>(past_key, key_zeros)
        value_cache = Concat<axis = 2>(past_value, value_zeros)
    """
    keep = """
        key_cache = Identity(past_key)
        value_cache = Identity(past_value)
    """
    return f"""
        {grow if grows else keep}
        key_{mark} = TensorScatter<axis = 2>(key_cache, k, first)
        value_{mark} = TensorScatter<axis = 2>(value_cache, v, first)
        {attend.format(y=f"attended_{mark}", key=f"key_{mark}", value=f"value_{mark}")}
    """


def _attend(call: Call, causal: int, window: int, scale: float, softcap: float, num_heads: int) -> str:
    """A template of ``{y}`` from ``{key}`` and ``{value}``."""
    given = attributes(is_causal=causal, left_window_size=window, scale=scale or None, softcap=float(softcap))
    mask = "attention_bias" if call.has("attention_bias") else '""'
    return f'{{y}} = Attention{given}(q, {{key}}, {{value}}, {mask}, "", "", ends)'


def _attend_with_sink(call: Call, causal: int, window: int, scale: float, softcap: float, num_heads: int) -> str:
    """`_attend` with one more key, of zeros, whose score is a number of the head, and whose value is zero."""
    lines = [
        """
        key_count = Shape<start = 2, end = 3>({key})
        key_scalar = Reshape(key_count, scalar)
        key_places = Range(zero, key_scalar, one)
        rows = Constant <value_ints = [1, 2]> ()
        ends_cube = Unsqueeze(ends, rows)
        query_places = Unsqueeze(following, flat)
        known = Less(key_places, ends_cube)
        """
    ]
    seen = "known"
    if causal:
        lines.append(f"until = LessOrEqual(key_places, query_places)\ncaused = And({seen}, until)")
        seen = "caused"
    if window >= 0:
        lines.append(
            f"width = {constant(window)}\noldest = Sub(query_places, width)\n"
            f"recent = GreaterOrEqual(key_places, oldest)\nnear = And({seen}, recent)"
        )
        seen = "near"
    bias = "visible_bias = Where(seen, nothing, never)"
    if call.has("attention_bias"):
        bias = """
            bias_length = Shape<start = 3>(attention_bias)
            bias_more = Sub(key_count, bias_length)
            bias_front = Constant <value_ints = [0, 0, 0, 0, 0, 0, 0]> ()
            bias_pads = Concat<axis = 0>(bias_front, bias_more)
            bias_full = Pad(attention_bias, bias_pads)
            visible_bias = Where(seen, bias_full, never)
        """
    sink = "Identity(head_sink)" if call.has("head_sink") else "Expand(nothing, head_count)"
    given = attributes(scale=scale or None, softcap=float(softcap))
    lines.append(f"""
        head_axis = {constant((1,))}
        seen = Unsqueeze({seen}, head_axis)
        nothing_number = {constant(0.0)}
        nothing = CastLike(nothing_number, q)
        least = {constant(-math.inf)}
        never = CastLike(least, q)
        {bias}
        head_count = {constant((num_heads,))}
        sinks = {sink}
        column = {constant((1, num_heads, 1, 1))}
        sink_scores = Reshape(sinks, column)
        batch = Shape<start = 0, end = 1>(q)
        both = Concat<axis = 0>(batch, head_count, new_count, head_axis)
        both_keys = Concat<axis = 0>(batch, head_count, new_count, key_count)
        sink_all = Expand(sink_scores, both)
        bias_all = Expand(visible_bias, both_keys)
        scores = Concat<axis = 3>(bias_all, sink_all)
        one_more = {constant((0, 0, 0, 0, 0, 0, 1, 0))}
        more_keys = Pad({{key}}, one_more)
        more_values = Pad({{value}}, one_more)
        {{y}} = Attention{given}(q, more_keys, more_values, scores)
    """)
    return "\n".join(lines)
