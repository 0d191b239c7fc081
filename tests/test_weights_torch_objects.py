"""What lies beside the tensors in PyTorch's files, around them, or in place of them."""

import argparse

import numpy as np
import pytest
from weights_writers import (
    call,
    dictionary,
    instance,
    integer,
    legacy_file,
    nested,
    python,
    tensor,
    text,
    zip_file,
)

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.formats import read_arrays

TENSORS = {"a": np.arange(24, dtype=np.float32).reshape(2, 3, 4)}
BOTH = pytest.mark.parametrize(("write", "legacy"), [(legacy_file, True), (zip_file, False)], ids=["legacy", "zip"])


ORDERED = b"ccollections\nOrderedDict\n)R"
BESIDE = {
    "numpy._core.multiarray.scalar": python(np.float64(1.5)),
    "numpy.core.multiarray.scalar": python(np.int64(3)).replace(b"numpy._core", b"numpy.core"),
    "torch.Size": call("torch.Size", b"(" + integer(2) + integer(3) + b"t"),
    "torch.device": call("torch.device", text("cuda"), integer(0)),
    "builtins.set": python({1, 2}),
    "argparse.Namespace": python(argparse.Namespace(lr=0.1)),
    "lightning.Config": instance("lightning.Config", dictionary(hidden=python(3))),
    "torch._utils._rebuild_qtensor": call("torch._utils._rebuild_qtensor", b"ctorch\nper_tensor_affine\n"),
    None: b"ctorch\nfloat32\n",  # a type of numbers, and no object
}


@BOTH
@pytest.mark.parametrize(("path", "program"), BESIDE.items(), ids=map(str, BESIDE))
def test_objects_beside_the_tensors_are_left_aside(write, legacy, path, program):
    state = nested({"a": TENSORS["a"]}, "model", legacy=legacy, other=program)
    contents = read_arrays(write(state, {"0": TENSORS["a"]}))
    np.testing.assert_array_equal(contents.arrays["model.a"], TENSORS["a"])
    assert contents.aside == ({} if path is None else {"other": path})


@BOTH
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_numpy_arrays_beside_the_tensors_are_read(write, legacy, protocol):
    values = {"f": np.arange(6.0).reshape(2, 3), "i": np.arange(3), "s": np.array(["x"]), "o": np.array([{}], object)}
    state = nested({"a": TENSORS["a"]}, "model", legacy=legacy, other=python(values, protocol))
    contents = read_arrays(write(state, {"0": TENSORS["a"]}))
    assert list(contents.arrays) == ["model.a", "other.f"]
    np.testing.assert_array_equal(contents.arrays["other.f"], values["f"])


PARAMETERS = {
    "parameter": lambda program: call("torch._utils._rebuild_parameter", program, b"\x88", ORDERED),
    "parameter with attributes": lambda program: call(
        "torch._utils._rebuild_parameter_with_state", program, b"\x88", ORDERED, python({"tag": 1})
    ),
    "buffer": lambda program: call(
        "torch._tensor._rebuild_from_type_v2",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nTensor\n",
        program[len(b"ctorch._utils\n_rebuild_tensor_v2\n") : -1],
        b"}",
    ),
}


@BOTH
@pytest.mark.parametrize("wrap", PARAMETERS.values(), ids=PARAMETERS)
def test_parameters_and_buffers_are_tensors(write, legacy, wrap):
    program = wrap(tensor("float32", "0", 24, (2, 3, 4), (12, 4, 1), legacy=legacy))
    arrays = read_arrays(write(b"\x80\x02" + dictionary(a=program) + b".", {"0": TENSORS["a"]})).arrays
    np.testing.assert_array_equal(arrays["a"], TENSORS["a"])


@BOTH
def test_dictionaries_of_other_classes(write, legacy):
    program = tensor("float32", "0", 24, (24,), (1,), legacy=legacy)
    inner = b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(" + text("a") + program + b"u"
    outer = b"ceasydict\nEasyDict\n)\x81(" + text("net") + inner + b"u."
    assert list(read_arrays(write(b"\x80\x02" + outer, {"0": TENSORS["a"]})).arrays) == ["net.a"]


@BOTH
def test_one_dictionary_under_two_keys_and_within_itself(write, legacy):
    program = b"\x80\x02}q\x00(" + text("self") + b"h\x00" + text("net")
    program += b"}q\x01" + text("a") + tensor("float32", "0", 24, (24,), (1,), legacy=legacy) + b"s"
    program += text("best") + b"h\x01u."
    assert list(read_arrays(write(program, {"0": TENSORS["a"]})).arrays) == ["net.a"]


@BOTH
@pytest.mark.parametrize(("start", "end"), [(b"](", b"e"), (b"(", b"t")], ids=["list", "tuple"])
def test_a_state_within_a_list(write, legacy, start, end):
    state = nested({"a": TENSORS["a"]}, "net", legacy=legacy)[2:-1]
    arrays = read_arrays(write(b"\x80\x02" + start + integer(3) + state + end + b".", {"0": TENSORS["a"]})).arrays
    assert list(arrays) == ["1.net.a"]


@BOTH
def test_an_array_that_claims_to_be_large_asks_for_no_memory(write, legacy):
    array = python(np.zeros(3), 4)
    content = b"C\x18" + bytes(24)
    assert content in array
    evil = array.replace(content, b"\x8a\x06" + (1 << 45).to_bytes(6, "little"))
    with pytest.raises(JaxstyleError, match="an array whose content is no bytes"):
        read_arrays(write(b"\x80\x04" + b"}" + text("a") + evil + b"s.", {}))


@BOTH
def test_two_tensors_of_one_name(write, legacy):
    one = tensor("float32", "0", 24, (24,), (1,), legacy=legacy)
    state = b"\x80\x02}(" + text("a") + b"}(" + text("b") + one + b"u" + text("a.b") + one + b"u."
    with pytest.raises(JaxstyleError, match=r"two tensors in it are called 'a\.b'"):
        read_arrays(write(state, {"0": TENSORS["a"]}))


@BOTH
def test_a_tensor_whose_sign_is_meant_otherwise(write, legacy):
    program = tensor("float32", "0", 24, (24,), (1,), legacy=legacy).removesuffix(b"tR") + python({"neg": True}) + b"tR"
    with pytest.raises(JaxstyleError, match=r"meant otherwise than stored \(neg\)"):
        read_arrays(write(b"\x80\x02" + dictionary(a=program) + b".", {"0": TENSORS["a"]}))


WHOLE = {
    "model": instance("torchvision.models.vgg.VGG", dictionary(_modules=b"}")),
    "model before PyTorch 1.6": b"(" + text("module") + b"cmy.models\nVGG\n" + text("vgg.py") + text("class VGG: …")
    + b"tQ)\x81}b",
    "a name": b"ctorch\nload\n",
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("program", WHOLE.values(), ids=WHOLE)
def test_whole_models_are_refused_by_what_they_are(write, legacy, program):
    with pytest.raises(
        JaxstyleError, match=r"a whole pickled object, '[\w.]+', which is not read.*torch\.save\(model\.state_dict"
    ) as caught:
        read_arrays(write(b"\x80\x02" + program + b".", {}))
    assert "refused" not in str(caught.value)


@BOTH
def test_a_whole_model_within_a_dictionary_is_named(write, legacy):
    contents = read_arrays(write(b"\x80\x02" + dictionary(epoch=python(3), model=WHOLE["model"]) + b".", {}))
    assert contents.arrays == {}
    assert contents.aside == {"model": "torchvision.models.vgg.VGG"}


@BOTH
@pytest.mark.parametrize("kind", ["tensor", "int"])
def test_files_of_something_else(write, legacy, kind):
    one = tensor("float32", "0", 24, (24,), (1,), legacy=legacy)
    program = {"tensor": one, "int": integer(3)}[kind]
    with pytest.raises(JaxstyleError, match=rf"holds a {kind}; expected a dictionary of tensors"):
        read_arrays(write(b"\x80\x02" + program + b".", {"0": TENSORS["a"]}))


EVIL = [
    call("posix.system", text("touch made")),
    call("__builtin__.eval", text("open('made', 'w')")),
    call("subprocess.Popen", text("touch made")),
    call("torch.load", text("other.pth")),
    call("torch.storage._load_from_bytes", text("")),
]


@BOTH
@pytest.mark.parametrize("program", EVIL)
def test_malicious_files_are_refused(write, legacy, program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    states = [b"\x80\x02" + program + b".", nested({"a": TENSORS["a"]}, "model", legacy=legacy, other=program)]
    for state in states:
        with pytest.raises(JaxstyleError, match=r"refused: .*calls '[\w.]+'.*Nothing of it was run"):
            read_arrays(write(state, {"0": TENSORS["a"]}))
    assert not list(tmp_path.iterdir())
