"""The schema of the shards, with what ``datasets`` knows of the columns: class names, images, arrays of a shape.

The features of the files that were read travel in the metadata of their tables (``corpus.values.schema_widening``), and
go on into the metadata of the shards, where ``datasets`` finds them. A feature that does not fit the type of its column
any more, since other files had other values in it, is dropped. Its extension types are written as their storage under
the name of the type, so that no process needs ``datasets`` to write them.
"""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from curate.corpus.values.arrow_types import JSON_TEXT
from curate.corpus.values.arrow_values import holds_json, is_json, is_list
from curate.corpus.values.schema_widening import FEATURES, SchemaShape, simplify_type, strip_extensions


def build_schema(shape: SchemaShape) -> pa.Schema:
    """Return the schema of shards in Arrow and Parquet; its metadata state the features of all columns."""
    import datasets

    kept, columns, features = load_features(shape), [], {}
    for column in shape.schema():
        kind = find_export_type(column.type)
        feature = kept.get(column.name) or infer_feature(kind)
        if column.name in kept:
            kind = find_arrow_type(feature)
        if feature is not None:
            features[column.name] = feature
        columns.append(make_field(column.name, kind))
    info = {"info": {"features": datasets.Features(features).to_dict()}}
    return pa.schema(columns, {FEATURES: json.dumps(info).encode()})


def load_features(shape: SchemaShape) -> dict[str, Any]:
    """Return the ``datasets`` features of columns that say more than their types, of those that the types fit."""
    kept = {}
    kinds = {column.name: column.type for column in shape.schema()}
    for name, stated in shape.known_features().items():
        feature = parse_feature(stated)
        if feature is not None and simplify_type(find_arrow_type(feature)).equals(kinds[name]):
            kept[name] = feature
    return kept


def list_lost_features(shape: SchemaShape) -> list[str]:
    """Return the columns whose files state features that the export cannot keep."""
    stated = {name for name, feature in shape.features.items() if feature is not None} | shape.clashes
    return sorted(stated - load_features(shape).keys())


def parse_feature(stated: Any) -> Any:
    """Return a feature from its JSON; None where this version of ``datasets`` does not know it."""
    import datasets

    try:
        return datasets.Features.from_dict({"": stated})[""]
    except Exception:  # Whatever the classes of features raise for what another version wrote.
        return None


def infer_feature(kind: pa.DataType) -> Any:
    """Return the feature that ``datasets`` gives a type; None where it has none."""
    import datasets

    try:
        return datasets.Features.from_arrow_schema(pa.schema([("", kind)]))[""]
    except ValueError:
        return None


def find_arrow_type(feature: Any) -> pa.DataType:
    """Return the Arrow type of a feature, with extension types."""
    import datasets

    return datasets.Features({"": feature}).arrow_schema.field(0).type


def make_field(name: str, kind: pa.DataType) -> pa.Field:
    """Return a column with its extension types, but JSON, as storage types that bear their names, at any depth."""
    if isinstance(kind, pa.ExtensionType) and not is_json(kind):
        spelled = {
            "ARROW:extension:name": kind.extension_name,
            "ARROW:extension:metadata": kind.__arrow_ext_serialize__(),
        }
        return pa.field(name, kind.storage_type, metadata=spelled)
    if pa.types.is_struct(kind):
        return pa.field(name, pa.struct([make_field(member.name, member.type) for member in kind]))
    if not is_list(kind):
        return pa.field(name, kind)
    item = make_field("item", kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.field(name, pa.list_(item, kind.list_size))
    return pa.field(name, pa.large_list(item) if pa.types.is_large_list(kind) else pa.list_(item))


def find_export_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that a column of a shape has in a shard: ``JSON_TEXT`` is a string, at any depth."""
    if not holds_json(kind):
        return kind
    if is_json(kind):
        return pa.large_string() if kind == JSON_TEXT else kind
    if pa.types.is_struct(kind):
        return pa.struct([(member.name, find_export_type(member.type)) for member in kind])
    inner = find_export_type(kind.value_type)
    return pa.list_(inner) if pa.types.is_list(kind) else pa.large_list(inner)


def export_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table of the schema of a shape under the schema of its shards (``build_schema``)."""
    return pa.table(_cast_columns(table, [column.type for column in schema]), schema=schema)


def restore_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table that was read from a shard under the schema of the shape that it was written with."""
    stored = pa.table(list(map(strip_extensions, table.columns)), table.column_names)
    return pa.table(_cast_columns(stored, [column.type for column in schema]), schema=schema)


def _cast_columns(table: pa.Table, kinds: Sequence[pa.DataType]) -> list[pa.ChunkedArray]:
    pairs = zip(table.columns, kinds, strict=True)
    return [values if values.type.equals(kind) else values.cast(kind) for values, kind in pairs]
