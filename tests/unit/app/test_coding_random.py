"""Any contract codes a customer alone and among others alike, to the bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.contracts import contracts, medians, rows

from app.coding import Coder


@settings(max_examples=60)
@given(st.data())
def test_one_and_many_agree_to_the_bit(data: st.DataObject) -> None:
    contract = data.draw(contracts())
    customers = data.draw(rows(contract))
    coder = Coder(contract, medians(contract))
    alone = np.array([coder.one(customer) for customer in customers], dtype=np.float32)
    assert coder.many(customers).tobytes() == alone.tobytes()
