"""Classes of operators: what is compared where two engines cut a model into different steps."""

from __future__ import annotations

_CLASSES = {
    "convolution": "Conv ConvTranspose FusedConv NhwcFusedConv DeformConv ConvInteger QLinearConv FusedConvInteger"
    " NhwcConv ConvIntegerNhwc QuantizedConv",
    "matrix product": "MatMul Gemm FusedGemm FusedMatMul TransposeMatMul MatMulInteger QLinearMatMul QGemm"
    " QuantizedMatMul MatMulIntegerToFloat DynamicQuantizeMatMul MatMulNBits Einsum FusedMatMulActivation",
    "attention": "Attention MultiHeadAttention GroupQueryAttention QAttention Softmax LogSoftmax BiasSoftmax"
    " QLinearSoftmax RotaryEmbedding",
    "normalisation": "LayerNormalization SkipLayerNormalization EmbedLayerNormalization SimplifiedLayerNormalization"
    " SkipSimplifiedLayerNormalization RMSNormalization BatchNormalization InstanceNormalization GroupNormalization LRN"
    " LpNormalization MeanVarianceNormalization Normalizer",
    "pooling": "MaxPool AveragePool GlobalAveragePool GlobalMaxPool LpPool GlobalLpPool NhwcMaxPool QLinearAveragePool"
    " QLinearGlobalAveragePool MaxUnpool",
    "recurrence": "LSTM GRU RNN DynamicQuantizeLSTM AttnLSTM",
    "quantization": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear",
    "reduction": "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp"
    " ReduceSumSquare ArgMax ArgMin TopK CumSum",
    "movement": "Transpose Reshape Flatten Squeeze Unsqueeze Identity Concat Split Slice Gather GatherElements GatherND"
    " Scatter ScatterElements ScatterND Expand Tile Pad Resize Upsample DepthToSpace SpaceToDepth ReorderInput"
    " ReorderOutput Compress ReverseSequence Memcpy QLinearConcat",
    "shapes": "Shape Size Constant ConstantOfShape Range NonZero OneHot EyeLike",
    "control": "If Loop Scan",
    "trees and the like": "TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor SVMClassifier SVMRegressor"
    " LinearClassifier LinearRegressor Scaler ZipMap ArrayFeatureExtractor FeatureVectorizer LabelEncoder Imputer"
    " OneHotEncoder CategoryMapper DictVectorizer Binarizer CastMap",
}
_CLASS_OF = {operator: name for name, operators in _CLASSES.items() for operator in operators.split()}

#: What is in no other class: sums, products, activations, comparisons.
ELEMENTWISE = "elementwise"
NAMES = (*_CLASSES, ELEMENTWISE)


def class_of(operator: str) -> str:
    """The class of an operator, by its name without the domain."""
    return _CLASS_OF.get(operator, ELEMENTWISE)
