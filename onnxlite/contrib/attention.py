"""Attention of BERT's and GPT-2's kind: one product for queries, keys and values, or three tensors; and rotations.

Source: onnxruntime, docs/ContribOperators.md.  Lengths: B batch, S queries, T keys with those of the past, N heads, H
elements of a head.
"""

from __future__ import annotations

from onnxlite.contrib.call import Call, attributes, constant, function

#: What onnxruntime adds to the scores of hidden keys unless a node says otherwise.
_HIDDEN = -10000.0


@function(
    "Attention",
    inputs="input weights bias mask_index past attention_bias past_sequence_length",
    outputs="output present",
)
def attention(
    call: Call,
    *,
    do_rotary: int = 0,
    mask_filter_value: float = _HIDDEN,
    num_heads: int,
    past_present_share_buffer: int = 0,
    qkv_hidden_sizes: tuple[int, ...] | None = None,
    rotary_embedding_dim: int = 0,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> str:
    """Attention over the columns of one product: those of the queries, of the keys, of the values."""
    if do_rotary or past_present_share_buffer or call.has("past_sequence_length"):
        raise call.decline("rotations inside, or a past that shares its memory with the present")
    sizes = f"sizes = {constant(qkv_hidden_sizes)}" if qkv_hidden_sizes else ""
    split = "Split<axis = -1>(projected, sizes)" if qkv_hidden_sizes else "Split<axis = -1, num_outputs = 3>(projected)"
    cached = call.has("past") or call.wants("present")
    past = """
        past_both_key, past_both_value = Split<axis = 0, num_outputs = 2>(past)
        front = Constant <value_ints = [0]> ()
        past_key = Squeeze(past_both_key, front)
        past_value = Squeeze(past_both_value, front)
    """
    present = """
        place = Constant <value_ints = [0]> ()
        of_key = Unsqueeze(present_key, place)
        of_value = Unsqueeze(present_value, place)
        present = Concat<axis = 0>(of_key, of_value)
    """
    return f"""
        product = MatMul(input, weights)
        projected = {"Add(product, bias)" if call.has("bias") else "Identity(product)"}
        {sizes}
        q, k, v = {split}
        {past if call.has("past") else ""}
        {_bias(call, "mask_index", "k", 1, "past_key" if call.has("past") else "", mask_filter_value)}
        {_attend(call, False, cached, call.has("past"), num_heads, scale, unidirectional)}
        {present if call.wants("present") else ""}
    """


@function(
    "MultiHeadAttention",
    inputs=(
        "query key value bias key_padding_mask attention_bias past_key past_value "
        "past_sequence_length cache_indirection"
    ),
    outputs="output present_key present_value qk",
)
def multi_head_attention(
    call: Call,
    *,
    mask_filter_value: float = _HIDDEN,
    num_heads: int,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> str:
    """Attention of queries, keys and values, which may be packed: query (B, S, N, 3, H), or key (B, T, N, 2, H)."""
    if call.has("past_sequence_length") or call.has("cache_indirection"):
        raise call.decline("a past that shares its memory with the present")
    if call.wants("qk"):
        raise call.decline("the output qk")
    by_heads = call.has("value") and call.rank("key") == 4
    cached = call.has("past_key") or call.wants("present_key") or call.wants("present_value")
    return f"""
        {_operands(call, num_heads, by_heads)}
        {
        _bias(
            call,
            "key_padding_mask",
            "k",
            2 if by_heads else 1,
            "past_key" if call.has("past_key") else "",
            mask_filter_value,
        )
    }
        {_attend(call, by_heads, cached, call.has("past_key"), num_heads, scale, unidirectional)}
    """


def _operands(call: Call, num_heads: int, by_heads: bool) -> str:
    """``q``, ``k`` and ``v`` (B, S, N * H), or all by heads (B, N, S, H)."""
    if not call.has("key"):
        text = """
            q_packed, k_packed, v_packed = Split<axis = 3, num_outputs = 3>(query)
            row = Constant <value_ints = [0, 0, -1]> ()
            q_plain = Reshape(q_packed, row)
            k_plain = Reshape(k_packed, row)
            v_plain = Reshape(v_packed, row)
        """
    elif not call.has("value"):
        text = """
            k_packed, v_packed = Split<axis = 3, num_outputs = 2>(key)
            row = Constant <value_ints = [0, 0, -1]> ()
            q_plain = Identity(query)
            k_plain = Reshape(k_packed, row)
            v_plain = Reshape(v_packed, row)
        """
    else:
        text = "q_plain = Identity(query)\nk_plain = Identity(key)\nv_plain = Identity(value)"
    if by_heads:
        # Keys and values of another sequence, projected before: only the queries have a bias.
        first = """
            start = Constant <value_ints = [0]> ()
            width = Shape<start = 2>(query)
            q_bias = Slice(bias, start, width)
            q_biased = Add(q_plain, q_bias)
        """
        return f"""
            {text}
            {first if call.has("bias") else "q_biased = Identity(q_plain)"}
            {split_heads("q_biased", "q", num_heads)}
            k = Identity(k_plain)
            v = Identity(v_plain)
        """
    if not call.has("bias"):
        return f"{text}\nq = Identity(q_plain)\nk = Identity(k_plain)\nv = Identity(v_plain)"
    return f"""
        {text}
        q_width = Shape<start = 2>(q_plain)
        k_width = Shape<start = 2>(k_plain)
        v_width = Shape<start = 2>(v_plain)
        widths = Concat<axis = 0>(q_width, k_width, v_width)
        q_bias, k_bias, v_bias = Split<axis = 0>(bias, widths)
        q = Add(q_plain, q_bias)
        k = Add(k_plain, k_bias)
        v = Add(v_plain, v_bias)
    """


def split_heads(source: str, target: str, heads: int) -> str:
    """(B, S, N * H) as (B, N, S, H)."""
    return f"""
        {target}_shape = {constant((0, 0, heads, -1))}
        {target}_rows = Reshape({source}, {target}_shape)
        {target} = Transpose<perm = [0, 2, 1, 3]>({target}_rows)
    """


def joined_heads(source: str, target: str) -> str:
    """(B, N, S, H) as (B, S, N * H)."""
    return f"""
        {target}_shape = {constant((0, 0, -1))}
        {target}_rows = Transpose<perm = [0, 2, 1, 3]>({source})
        {target} = Reshape({target}_rows, {target}_shape)
    """


def _attend(call: Call, by_heads: bool, cached: bool, past: bool, heads: int, scale: float, causal: int) -> str:
    """``output``, from q, k, v, ``score_bias`` and the past; if ``cached``, ``present_key`` and ``present_value``."""
    masks = ("mask_index", "key_padding_mask", "attention_bias")
    bias = "score_bias" if any(name in call.inputs and call.has(name) for name in masks) else '""'
    given = attributes(q_num_heads=heads, kv_num_heads=heads, scale=scale or None, is_causal=causal)
    if not by_heads and not cached:
        return f"output = Attention{given}(q, k, v, {bias})"
    given = attributes(scale=scale or None, is_causal=causal)
    split = "" if by_heads else " ".join(split_heads(name, f"{name}_heads", heads) for name in "qkv")
    q, k, v = "qkv" if by_heads else ("q_heads", "k_heads", "v_heads")
    counts = "counts" if past and causal else '""'
    join = "Concat<axis = 2>(past_{0}, {1})" if past else "Identity({1})"
    # The last queries stand at the last keys: that is what numbers of keys say.
    counting = """
        count = Shape<start = 2, end = 3>(present_key)
        sentences = Shape<start = 0, end = 1>(present_key)
        counts = Expand(count, sentences)
    """
    return f"""
        {split}
        present_key = {join.format("key", k)}
        present_value = {join.format("value", v)}
        {counting if past and causal else ""}
        attended = Attention{given}({q}, present_key, present_value, {bias}, "", "", {counts})
        {joined_heads("attended", "output")}
    """


def _bias(call: Call, mask: str, key: str, key_axis: int, past: str, hidden: float) -> str:
    """``score_bias``: what is added to the scores, from a mask and a bias of the node's, if it has any.

    The mask has a number for each key, 0 for a hidden one: (B, T) or (B, S, T); or it lists where the keys of each
    sentence end (B), and where they start after all of these (2 * B).
    """
    if not call.has(mask):
        return "score_bias = Identity(attention_bias)" if call.has("attention_bias") else ""
    rank = call.rank(mask)
    if rank == 4:
        raise call.decline("a mask of four dimensions")
    lengths = f"""
        new_length = Shape<start = {key_axis}, end = {key_axis + 1}>({key})
        {f"past_length = Shape<start = 2, end = 3>({past})" if past else f"past_length = {constant((0,))}"}
        key_length = Add(new_length, past_length)
        batch = Shape<start = 0, end = 1>({key})
        single = {constant((1,))}
        rest = {constant((-1,))}
        mask_shape = Concat<axis = 0>(batch, single, rest, key_length)
    """
    return f"""
        {lengths}
        {_seen(mask, rank)}
        seen = Reshape(seen_flat, mask_shape)
        nothing = {constant(0.0)}
        penalty = {constant(float(hidden))}
        nothing_like = CastLike(nothing, {key})
        penalty_like = CastLike(penalty, {key})
        {"mask_bias" if call.has("attention_bias") else "score_bias"} = Where(seen, nothing_like, penalty_like)
        {"score_bias = Add(mask_bias, attention_bias)" if call.has("attention_bias") else ""}
    """


def _seen(mask: str, rank: int | None) -> str:
    """``seen_flat``: which keys are seen, with any shape."""
    by_element = f"zero = {constant(0)}\nzero_like = CastLike(zero, {mask})\nseen_flat = Greater({mask}, zero_like)"
    by_ends = f"""
        ends_shape = Concat<axis = 0>(rest, batch)
        ends_wide = Cast<to = 7>({mask})
        given = Reshape(ends_wide, ends_shape)
        no_start_shape = Concat<axis = 0>(single, batch)
        no_start = ConstantOfShape(no_start_shape)
        bounds = Concat<axis = 0>(given, no_start)
        at0 = {constant(0)}
        at1 = {constant(1)}
        ends = Gather<axis = 0>(bounds, at0)
        starts = Gather<axis = 0>(bounds, at1)
        ends_column = Unsqueeze(ends, single)
        starts_column = Unsqueeze(starts, single)
        count = Squeeze(key_length)
        positions = Range(at0, count, at1)
        before_end = Less(positions, ends_column)
        after_start = GreaterOrEqual(positions, starts_column)
        seen_flat = And(before_end, after_start)
    """
    if rank is not None:
        return by_ends if rank == 1 else by_element
    return f"""
        mask_rank_shape = Shape({mask})
        mask_rank = Size(mask_rank_shape)
        list_rank = {constant(1)}
        is_list = Equal(mask_rank, list_rank)
        seen_flat = If (is_list) <
            then_branch = ends () => (bool seen_then) {{ {by_ends.replace("seen_flat", "seen_then")} }},
            else_branch = elements () => (bool seen_else) {{ {by_element.replace("seen_flat", "seen_else")} }}
        >
    """


@function("RotaryEmbedding", inputs="input position_ids cos_cache sin_cache", outputs="output")
def rotary_embedding(
    call: Call,
    *,
    interleaved: int = 0,
    is_packed_batching: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
) -> str:
    """The operator of ai.onnx; the positions may be given by the first of them alone."""
    if is_packed_batching or scale != 1:
        raise call.decline("is_packed_batching, or a scale")
    rank = call.rank("input")
    caches = call.shape("cos_cache")
    if rank is None or not (num_heads or rank == 4 or (caches and isinstance(caches[-1], int))):
        raise call.decline("input of an unknown number of dimensions or heads")
    given = attributes(interleaved=interleaved, rotary_embedding_dim=rotary_embedding_dim)
    if rank == 4:
        before, after = "x = Identity(input)", "output = Identity(y)"
    else:
        size = None if num_heads or not caches else 2 * int(caches[-1] or 0)
        before = f"""
            heads_shape = {constant((0, 0, num_heads or -1, size or -1))}
            rows = Reshape(input, heads_shape)
            x = Transpose<perm = [0, 2, 1, 3]>(rows)
        """
        after = joined_heads("y", "output")
    return f"""
        {before}
        {_positions(call, "x")}
        y = RotaryEmbedding{given}(x, cos_cache, sin_cache, positions)
        {after}
    """


def _positions(call: Call, by_heads: str) -> str:
    """``positions`` (B, S): those given, or the following ones of a first one."""
    if call.rank("position_ids") != 1:
        return "positions = Identity(position_ids)"
    return f"""
        all_lengths = Shape({by_heads})
        places = {constant((0, 2))}
        lengths = Gather(all_lengths, places)
        count_shape = Constant <value = int64[0] {{}}> ()
        count_list = Shape<start = 2, end = 3>({by_heads})
        count = Reshape(count_list, count_shape)
        zero = {constant(0)}
        one = {constant(1)}
        steps = Range(zero, count, one)
        following = Add(steps, position_ids)
        positions = Expand(following, lengths)
    """
