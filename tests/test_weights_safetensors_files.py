import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from jaxstyle.errors import JaxstyleError
from jaxstyle.network.weights.formats import read_arrays


@pytest.mark.parametrize(
    ("name", "dtype"), [("BF16", ml_dtypes.bfloat16), ("F16", np.float16), ("F64", np.float64), ("I8", np.int8)]
)
def test_types_in_safetensors_files(name, dtype):
    values = np.array([[1, -2], [3, 64]], dtype)
    header = json.dumps({"w": {"dtype": name, "shape": [2, 2], "data_offsets": [0, values.nbytes]}}).encode()
    arrays = read_arrays(len(header).to_bytes(8, "little") + header + values.tobytes()).arrays
    assert arrays["w"].dtype == dtype
    np.testing.assert_array_equal(arrays["w"].astype(np.float64), [[1, -2], [3, 64]])


def test_types_of_safetensors_that_are_not_known_are_left_out():
    fields = {
        "scale": {"dtype": "F8_E8M0", "shape": [4], "data_offsets": [0, 4]},
        "w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
    }
    header = json.dumps(fields).encode()
    assert list(read_arrays(len(header).to_bytes(8, "little") + header + bytes(8)).arrays) == ["w"]


@pytest.mark.parametrize("end", [9, 40, 100, -1])
def test_truncated_safetensors_files(end):
    data = safetensors.numpy.save({"conv1_1.kernel": np.zeros(100, np.float32)})
    with pytest.raises(JaxstyleError, match=r"safetensors file that is damaged or truncated .*download it again"):
        read_arrays(data[:end])
