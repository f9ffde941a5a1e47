"""The fitted pipeline as one ONNX graph: raw contract columns in, calibrated P(churn) out."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import xgboost as xgb
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from include.champion.onnx_scorer import INPUT, OUTPUT, Scorer
from include.errors import ChampionError
from include.features import QUOTIENT_MAX, Engineered, engineered_for
from include.training.fit import Fitted

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPSET = 15  # the newest that onnxmltools 1.16 converts trees for
ML_OPSET = 1
IR_VERSION = 8
REFUSAL = "NaN_and_infinity_are_refused"
AGREEMENT = 1e-5  # largest allowed difference from scikit-learn's scaler and XGBoost's trees


def export(fitted: Fitted, probe: "NDArray[np.float64]") -> bytes:
    """Convert a fitted model; ChampionError unless the graph agrees with it on every probe row."""
    model: bytes = build_graph(fitted).SerializeToString(deterministic=True)
    answers = Scorer(model).score(probe)
    difference = np.abs(answers - fitted.probabilities(probe))
    worst = float(difference.max(initial=0.0))
    if not worst <= AGREEMENT:
        wrong = int((difference > AGREEMENT).sum())
        raise ChampionError(
            f"the ONNX graph differs from the fitted model by up to {worst:.2g}, on "
            f"{wrong} of {len(probe)} rows by more than {AGREEMENT:g}: the export is refused"
        )
    return model


def build_graph(fitted: Fitted) -> onnx.ModelProto:
    """Engineering and scaling in double precision, then the trees and Platt scaling in single.

    Scaling repeats StandardScaler's two operations in double: trees cut exactly at data values, so
    that a last-bit difference would send rows down another branch. A row with NaN or infinity is
    refused, as by the API: trees would take it for a value that is missing, and answer.
    """
    builder = _Builder()
    features = _engineer(builder, fitted.columns)
    centred = builder.add("Sub", features, builder.constant(fitted.scaler.mean_))
    scaled = builder.add("Div", centred, builder.constant(fitted.scaler.scale_))
    single = builder.add("Cast", scaled, to=TensorProto.FLOAT)
    margin = _trees(builder, fitted.trees, single, width=len(fitted.feature_names))
    slope, intercept = fitted.calibration.slope, fitted.calibration.intercept
    steeper = builder.add("Mul", margin, builder.constant(np.array([slope], np.float32)))
    logit = builder.add("Add", steeper, _of_complete_rows(builder, np.float32(intercept)))
    builder.add("Sigmoid", logit, name=OUTPUT)
    return builder.model(width=len(fitted.columns))


class _Builder:
    """Collects nodes and constants under running names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: "NDArray[Any]") -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def model(self, *, width: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "churn",
            [helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, [None, width])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
            initializer=self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model


def _of_complete_rows(builder: _Builder, value: np.float32) -> str:
    """The value for each row, looked up where it is: at place 0, unless a number is missing.

    ONNX has no other way to refuse an input than a place outside of what is looked up in
    (https://onnx.ai/onnx/operators/onnx__Gather.html); the error names the node.
    """
    total = builder.add("ReduceSum", INPUT, builder.constant(np.array([1])), keepdims=1)
    missing = builder.add("IsNaN", builder.add("Sub", total, total))  # also of infinity
    place = builder.add("Cast", missing, to=TensorProto.INT64)
    return builder.add("Gather", builder.constant(np.array([value])), place, name=REFUSAL)


def _engineer(builder: _Builder, columns: tuple[str, ...]) -> str:
    added = [_engineered(builder, columns, feature) for feature in engineered_for(columns)]
    return builder.add("Concat", INPUT, *added, axis=1)


def _engineered(builder: _Builder, columns: tuple[str, ...], feature: Engineered) -> str:
    value = _column(builder, columns, feature.factors[0])
    for name in feature.factors[1:]:
        value = builder.add("Mul", value, _column(builder, columns, name))
    if feature.divisor is None:
        return value
    zero, one = builder.constant(np.zeros(1)), builder.constant(np.ones(1))
    divisor = _column(builder, columns, feature.divisor)
    empty = builder.add("Equal", divisor, zero)
    quotient = builder.add("Div", value, builder.add("Where", empty, one, divisor))
    bounded = builder.add("Min", quotient, builder.constant(np.array([QUOTIENT_MAX])))
    return builder.add("Where", empty, zero, bounded)


def _column(builder: _Builder, columns: tuple[str, ...], name: str) -> str:
    place = builder.constant(np.array([columns.index(name)], dtype=np.int64))
    return builder.add("Gather", INPUT, place, axis=1)


def _trees(builder: _Builder, trees: xgb.Booster, single: str, *, width: int) -> str:
    """The trees as one regressor node that gives their margin."""
    converted = convert_xgboost(
        _as_regressor(trees),
        initial_types=[("features", FloatTensorType([None, width]))],
        target_opset=OPSET,
    )
    (node,) = converted.graph.node
    node.input[:], node.output[:] = [single], ["margin"]
    builder.nodes.append(node)
    return "margin"


def _as_regressor(trees: xgb.Booster) -> xgb.XGBRegressor:
    """The same trees under an objective whose prediction is the margin itself.

    The converter would otherwise emit a classifier node, which answers uncalibrated probabilities.
    A base score of one half is a margin of zero.
    """
    document = json.loads(trees.save_raw("json"))
    learner = document["learner"]
    learner["objective"] = {
        "name": "reg:squarederror",
        "reg_loss_param": {"scale_pos_weight": "1"},
    }
    learner["learner_model_param"]["base_score"] = "[0E0]"
    regressor = xgb.XGBRegressor()
    regressor.load_model(bytearray(json.dumps(document).encode()))
    return regressor
