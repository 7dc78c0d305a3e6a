"""The operators that an exported generator may have: by full name, each with its overload.

What is on the list computes samples forward, and checks its arguments itself: whatever tensors and
numbers a file gives it, it reads and writes inside its tensors, or raises. So these are left out:

- backward operators and those named `_unsafe...`, which trust the indices that they get;
- what takes sizes that it does not compare with its tensors (`native_batch_norm`,
  `native_group_norm`, `upsample_nearest2d.default`, `_reshape_alias`, `_ctc_loss`): exports have
  the operators above these instead (`batch_norm`, `group_norm`, `upsample_nearest2d.vec`), which do
  compare;
- recurrent layers as a whole (`lstm`, `gru`), whose kernels trust the sizes of their weights; cells
  are on the list;
- what lets values decide how much is computed, which a trial with other values would not show:
  tensors of a size that values decide (`nonzero`, `item`), and branches (`cond`);
- what changes the shape of its argument, which may be a buffer that stays (`unsqueeze_`);
- sparse or quantised tensors;
- what reads, writes or prints (`from_file`, `_print`).

What :data:`UNFILLED` returns must be filled by the next operator. The indices of :data:`INDEXED`
must be numbers, since those that are true or false decide a size.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["FILLING", "INDEXED", "OPERATORS", "UNFILLED"]

POINTWISE = """
abs abs_ acos acosh asin asinh atan atan2 atanh ceil celu celu_ clamp,.Tensor clamp_,.Tensor
clamp_min,.Tensor clamp_min_ clamp_max,.Tensor clamp_max_ cos cosh deg2rad elu elu_ erf erfc erfinv
exp exp_ exp2 expm1 floor floor_ frac gelu hardshrink hardsigmoid hardsigmoid_ hardswish hardswish_
hardtanh hardtanh_ hypot isfinite isinf isnan leaky_relu leaky_relu_ lgamma log log_ log10 log1p
log2 log_sigmoid logaddexp logaddexp2 logit mish mish_ nan_to_num neg neg_ prelu rad2deg reciprocal
reciprocal_ relu relu_ relu6 relu6_ round,.decimals round_ rrelu rsqrt rsqrt_ selu selu_ sigmoid
sigmoid_ sign sgn silu silu_ sin sinc sinh softplus softshrink sqrt sqrt_ square square_ tan tanh
tanh_ threshold threshold_ trunc special_erfcx special_expit special_i0 special_ndtr special_ndtri
xlogy.Tensor glu
add.Tensor,.Scalar add_.Tensor,.Scalar sub.Tensor,.Scalar sub_.Tensor,.Scalar rsub.Tensor,.Scalar
mul.Tensor,.Scalar mul_.Tensor,.Scalar multiply.Tensor,.Scalar subtract.Tensor,.Scalar
div.Tensor,.Scalar,.Tensor_mode,.Scalar_mode div_.Tensor,.Scalar,.Tensor_mode,.Scalar_mode
divide.Tensor,.Scalar true_divide.Tensor,.Scalar floor_divide,.Scalar
remainder.Tensor,.Scalar fmod.Tensor,.Scalar pow.Tensor_Scalar,.Tensor_Tensor,.Scalar
pow_.Scalar,.Tensor float_power.Tensor_Scalar
addcmul addcmul_ addcdiv addcdiv_ lerp.Tensor,.Scalar lerp_.Tensor,.Scalar
maximum minimum fmax fmin
eq.Tensor,.Scalar ne.Tensor,.Scalar lt.Tensor,.Scalar le.Tensor,.Scalar gt.Tensor,.Scalar
ge.Tensor,.Scalar greater.Tensor,.Scalar greater_equal.Tensor,.Scalar less.Tensor,.Scalar
less_equal.Tensor,.Scalar
logical_and logical_or logical_xor logical_not
bitwise_and.Tensor,.Scalar bitwise_or.Tensor,.Scalar bitwise_xor.Tensor,.Scalar bitwise_not
__and__.Tensor,.Scalar __or__.Tensor,.Scalar __xor__.Tensor,.Scalar
__lshift__.Tensor,.Scalar __rshift__.Tensor,.Scalar
where.self,.Scalar,.ScalarSelf,.ScalarOther
masked_fill.Scalar,.Tensor masked_fill_.Scalar,.Tensor fill.Scalar,.Tensor fill_.Scalar,.Tensor
zero_
"""

LAYERS = """
linear matmul mm bmm mv dot addmm addmv addbmm baddbmm einsum bilinear outer tensordot
conv1d,.padding conv2d,.padding conv3d,.padding convolution
conv_transpose1d conv_transpose2d.input conv_transpose3d.input
batch_norm instance_norm group_norm layer_norm rms_norm
softmax.int log_softmax.int _softmax _log_softmax scaled_dot_product_attention
dropout dropout_ alpha_dropout feature_dropout feature_alpha_dropout
avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d
upsample_nearest1d.vec upsample_nearest2d.vec upsample_nearest3d.vec
_upsample_nearest_exact1d.vec _upsample_nearest_exact2d.vec _upsample_nearest_exact3d.vec
upsample_linear1d.vec upsample_bilinear2d.vec upsample_bicubic2d.vec upsample_trilinear3d.vec
pixel_shuffle pixel_unshuffle channel_shuffle im2col col2im
pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d
replication_pad1d replication_pad2d replication_pad3d
cosine_similarity embedding gru_cell lstm_cell rnn_tanh_cell rnn_relu_cell
"""

REDUCTIONS = """
sum,.dim_IntList mean,.dim prod,.dim_int std,.dim,.correction var,.dim,.correction
var_mean.correction std_mean.correction amax amin aminmax max,.dim,.other min,.dim,.other argmax
argmin all,.dim,.dims any,.dim,.dims logsumexp norm.Scalar,.ScalarOpt_dim linalg_norm
linalg_vector_norm cumsum cumprod logcumsumexp sort,.stable argsort topk searchsorted.Tensor
bucketize.Tensor median.dim
"""

SHAPES = """
view,.dtype reshape view_as reshape_as _unsafe_view flatten.using_ints unflatten.int
permute transpose.int t mT numpy_T adjoint swapaxes movedim.int,.intlist moveaxis.int
squeeze,.dim,.dims unsqueeze expand expand_as broadcast_to repeat tile
repeat_interleave.self_int
cat concat concatenate stack hstack vstack chunk split.Tensor,.sizes split_with_sizes unbind.int
tensor_split.sections
select.int slice.Tensor narrow index_select index.Tensor gather take_along_dim diagonal tril triu
flip roll rot90 unfold meshgrid,.indexing atleast_1d atleast_2d broadcast_tensors
clone contiguous detach detach_ alias copy copy_ lift_fresh_copy lift_fresh _to_copy
to.dtype,.device,.dtype_layout,.other type_as
scatter.src,.value scatter_.src,.value scatter_add index_fill.int_Scalar index_add index_copy
index_put index_put_ select_scatter slice_scatter
"""

UNFILLED = frozenset(
    f"torch.ops.aten.{name}"
    for name in ("empty.memory_format", "empty_like.default", "new_empty.default")
)
"""What returns memory as it lies: another's secrets, if nothing fills it."""
FILLING = frozenset(
    f"torch.ops.aten.{name}"
    for name in (
        "exponential_.default",
        "normal_.default",
        "uniform_.default",
        "bernoulli_.float",
        "fill_.Scalar",
        "zero_.default",
    )
)
"""What fills the tensor that it gets first."""

INDEXED = "torch.ops.aten.index.Tensor"

NEW_TENSORS = """
zeros ones full eye arange,.start,.start_step linspace scalar_tensor
zeros_like ones_like full_like new_zeros new_ones new_full
rand randn rand_like randn_like randint randint.low randint_like normal_ uniform_ bernoulli,.p
bernoulli_.float exponential_ native_dropout normal.Tensor_float,.float_Tensor,.Tensor_Tensor
"""

SIZES = """sym_size.int sym_stride.int sym_numel sym_storage_offset sym_constrain_range
sym_constrain_range_for_size _assert_tensor_metadata _assert_scalar"""

ARITHMETIC_OF_SIZES = """
torch.sym_int torch.sym_float torch.sym_max torch.sym_min torch.sym_not torch.sym_ite torch.sym_sum
torch.sym_sqrt math.trunc _operator.getitem _operator.add _operator.sub _operator.mul _operator.neg
_operator.pos _operator.floordiv _operator.truediv _operator.mod _operator.eq _operator.ne
_operator.lt _operator.le _operator.gt _operator.ge _operator.and_ _operator.or_
"""

OF_SUBGRAPHS = """
torch.ops.higher_order.wrap_with_set_grad_enabled torch.ops.higher_order.wrap_with_autocast
"""
"""They run a graph inside the graph, whose operators must be on the list, too."""


def _aten(listed: str) -> Iterator[str]:
    """`sum,.dim_IntList` → both overloads of `sum` in full; an overload left out is `default`."""
    for entry in listed.split():
        first, *further = entry.split(",")
        name, _, overload = first.partition(".")
        yield f"torch.ops.aten.{name}.{overload or 'default'}"
        yield from (f"torch.ops.aten.{name}{other}" for other in further)


OPERATORS = frozenset(
    [
        *UNFILLED,
        *_aten(POINTWISE),
        *_aten(LAYERS),
        *_aten(REDUCTIONS),
        *_aten(SHAPES),
        *_aten(NEW_TENSORS),
        *_aten(SIZES),
        *ARITHMETIC_OF_SIZES.split(),
        *OF_SUBGRAPHS.split(),
    ]
)
"""All operators that a file may have, named as in the file."""
