"""Bodies of writes: one JSON document or a list of them, read within limits and validated in one pass."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, TypeAdapter, ValidationError

from storefront.api.models import MAX_BATCH
from storefront.api.problems import ProblemError, field_problems

T = TypeVar("T")


class OneOrMany:
    """Reads one ``model`` or a list of up to 500."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.one: TypeAdapter[Any] = TypeAdapter(model)

    async def read(self, request: Request) -> list[Any]:
        """The models in a request's body; raises ``ProblemError`` 422 that names what is wrong where."""
        data = await request.body()
        many = data.lstrip()[:1] == b"["
        try:
            if not many:
                return [self.one.validate_json(data)]
            found: list[Any] = _LIST_OF_ANY.validate_json(data)
            if not 0 < len(found) <= MAX_BATCH:
                raise ProblemError(422, f"the list has {len(found)} entries; send 1 to {MAX_BATCH} at a time")
            return self._each(found)
        except ValidationError as error:
            raise _problem(error) from None

    def _each(self, found: list[Any]) -> list[Any]:
        made, errors = [], []
        for place, document in enumerate(found):
            try:
                made.append(self.one.validate_python(document))
            except ValidationError as error:
                errors += [{**e, "loc": (place, *e["loc"])} for e in _errors(error)]
        if errors:
            raise ProblemError(422, "nothing was taken; mend what is named", errors=field_problems(errors))
        return made

    def openapi(self, example: Any) -> dict[str, Any]:
        """The body as the OpenAPI document says it; the models have to be in ``components``."""
        one = self._schema()
        many = {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_BATCH}
        schema = {"oneOf": [one, many]}
        return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}

    def _schema(self) -> dict[str, Any]:
        if isinstance(self._model, type) and issubclass(self._model, BaseModel):
            return reference(self._model)
        schema = self.one.json_schema(ref_template="#/components/schemas/{model}", mode="validation")
        return {name: value for name, value in schema.items() if name != "$defs"}

    def components(self) -> dict[str, Any]:
        """The schemas that ``openapi`` refers to."""
        schema = self.one.json_schema(ref_template="#/components/schemas/{model}", mode="validation")
        found: dict[str, Any] = schema.get("$defs", {})
        return found


_LIST_OF_ANY: TypeAdapter[list[Any]] = TypeAdapter(list[Any])


def reference(model: type[BaseModel]) -> dict[str, str]:
    """A model's schema in the OpenAPI document."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _errors(error: ValidationError) -> list[Any]:
    return list(error.errors(include_url=False, include_context=False, include_input=False))


def _problem(error: ValidationError) -> ProblemError:
    return ProblemError(422, "nothing was taken; mend what is named", errors=field_problems(_errors(error)))
