"""Models of any kind, explained as a torch module of the same function would be."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

import igc
from igc.errors import IgcError, MethodError, MissingFileError, ModelError
from igc.models.blackbox import ArrayModel, EstimatorModel, OnnxModel, as_model
from igc.testing.probes import linear_model

WEIGHTS = np.array([[1.0, -0.5, 0.0, 2.0], [0.3, 0.0, 1.0, -1.0]])


def samples(n=60):
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 4)) @ (np.eye(4) + 0.3)
    return x, x @ WEIGHTS.T + 0.4 * random.normal(size=(n, 2))


def attribute(model, data, method, **options):
    return igc.attribute(model, data, method, progress=False, **options)


@pytest.mark.parametrize(
    ("method", "options"),
    [("pmi", {"draws": 16}), ("information_gain", {"draws": 16}), ("baseline_shapley", {"points": 40}), ("bsc", {})],
)
def test_a_function_of_arrays_is_explained_as_the_module_is(method, options):
    data = samples()
    expected = attribute(linear_model(WEIGHTS, 0.2), data, method, **options)
    found = attribute(lambda x: np.einsum("ni,ki->nk", x, WEIGHTS) + 0.2, data, method, **options)
    np.testing.assert_allclose(found["attribution"], expected["attribution"], rtol=0, atol=1e-9)


def test_an_estimator_of_values_is_explained_by_its_predictions():
    x, y = samples()
    fitted = LinearRegression().fit(x, y)
    module = linear_model(fitted.coef_, fitted.intercept_)
    expected = attribute(module, (x, y), "information_gain", draws=16)
    found = attribute(fitted, (x, y), "information_gain", draws=16)
    np.testing.assert_allclose(found["attribution"], expected["attribution"], rtol=0, atol=1e-9)


def test_an_estimator_of_categories_is_explained_by_its_probabilities():
    x, y = samples(150)
    labels = (y[:, 0] > 0).astype(int) + (y[:, 1] > 1)
    hot = np.eye(3)[labels]
    fitted = LogisticRegression().fit(x, labels)
    module = linear_model(fitted.coef_, fitted.intercept_)
    for method in ("pmi", "information_gain"):
        expected = attribute(module, (x, hot), method, draws=16)
        found = attribute(fitted, (x, hot), method, draws=16)
        np.testing.assert_allclose(found["attribution"], expected["attribution"], rtol=0, atol=1e-8)


def test_what_takes_tensors_is_left_as_it_is():
    x = np.ones((1, 4))
    module = linear_model(WEIGHTS)
    matrix = torch.as_tensor(WEIGHTS)

    def function(values):
        return values @ matrix.T

    def broken(values):
        raise ValueError(values)

    assert as_model(module, [x]) is module
    assert as_model(function, [x]) is function
    assert as_model(broken, [x]) is broken
    assert isinstance(as_model(lambda values: values.sum(axis=1).tolist(), [x]), ArrayModel)
    assert isinstance(as_model(LinearRegression(), [x]), EstimatorModel)


def test_methods_that_need_gradients_are_refused_with_those_that_do_not():
    with pytest.raises(MethodError, match="information_gain"):
        attribute(lambda x: np.asarray(x) @ WEIGHTS.T, samples(), "igc")


def test_outputs_that_are_no_numbers_are_refused():
    with pytest.raises(ModelError, match="predict_proba"):
        attribute(lambda x: np.array([["a", "b"]] * len(x)), samples(), "pmi")
    with pytest.raises(ModelError, match="fitted estimator"):
        attribute(3, samples(), "pmi")


def onnx_file(path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper = onnx.helper
    weight = onnx.numpy_helper.from_array(WEIGHTS.T.astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Tanh", ["y"], ["z"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 2]) for name in ("y", "z")],
        [weight],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, str(path))


def test_an_onnx_file_is_explained_as_the_module_is(tmp_path):
    onnx_file(tmp_path / "m.onnx")
    x, y = samples()
    data = x.astype(np.float32), y
    expected = attribute(linear_model(WEIGHTS).float(), data, "information_gain", draws=16)
    found = attribute(tmp_path / "m.onnx", data, "information_gain", draws=16)
    np.testing.assert_allclose(found["attribution"], expected["attribution"], rtol=1e-3, atol=1e-5)
    other = OnnxModel(str(tmp_path / "m.onnx"), "z")(torch.as_tensor(data[0][:3]))
    np.testing.assert_allclose(other, np.tanh(x[:3] @ WEIGHTS.T), rtol=0, atol=1e-5)
    with pytest.raises(ModelError, match="y, z"):
        OnnxModel(str(tmp_path / "m.onnx"), "w")(torch.as_tensor(data[0][:3]))


def test_an_onnx_file_that_is_none_is_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(MissingFileError):
        attribute(tmp_path / "nowhere.onnx", samples(), "pmi")
    (tmp_path / "bad.onnx").write_text("no model")
    with pytest.raises(IgcError, match="unreadable"):
        attribute(str(tmp_path / "bad.onnx"), samples(), "pmi")
