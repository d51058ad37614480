"""The built-in customers for servers that are compared with the API: their pydantic model, and their coding."""

from __future__ import annotations

from typing import Any, Final

from app.coding import Coder
from app.customers import customer_model
from app.schemas import telco

Customer: Final[Any] = customer_model(telco())
encode = Coder(telco(), {}).many
