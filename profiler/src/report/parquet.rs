//! A table as a Parquet file, for those who keep many.
//!
//! In: a [`Grid`]. Out: one row group; texts as UTF-8, counts and times as 64-bit
//! integers, compressed by snappy, which every reader knows.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::table::{
    Table,
    grid::{Cell, Column, Grid, Kind},
};

/// Value of the file's key `mapprof.schema`.
const SCHEMA: &str = "mapprof.table.v1";

/// The whole file.
pub(super) fn render(table: Table, grid: &Grid<'_>) -> Result<Vec<u8>, ParquetError> {
    let fields = grid.columns.iter().map(field).collect::<Result<_, _>>()?;
    let schema = Type::group_type_builder(table.name()).with_fields(fields).build()?;
    let about = [("mapprof.schema", SCHEMA), ("mapprof.table", table.name())];
    let properties = WriterProperties::builder()
        .set_created_by(concat!("mapprof ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(
            about.map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned())).into(),
        ))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (index, column) in grid.columns.iter().enumerate() {
        let cells = grid.rows.iter().filter_map(|row| row.get(index));
        write_column(&mut group, column.kind, cells)?;
    }
    group.close()?;
    writer.into_inner()
}

fn field(column: &Column) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Int => (Physical::INT64, None),
        Kind::Float => (Physical::DOUBLE, None),
        Kind::Flag => (Physical::BOOLEAN, None),
    };
    let field = Type::primitive_type_builder(&column.name, physical)
        .with_logical_type(logical)
        .with_repetition(Repetition::OPTIONAL)
        .build()?;
    Ok(Arc::new(field))
}

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

fn write_column<'a>(
    group: &mut Group<'_>,
    kind: Kind,
    cells: impl Iterator<Item = &'a Cell<'a>>,
) -> Result<(), ParquetError> {
    match kind {
        Kind::Text => write::<ByteArrayType>(group, cells, |cell| match cell {
            Cell::Text(text) => Some(ByteArray::from(text.as_ref())),
            _ => None,
        }),
        Kind::Int => write::<Int64Type>(group, cells, |cell| match cell {
            Cell::Int(n) => Some(i64::try_from(*n).unwrap_or(i64::MAX)),
            _ => None,
        }),
        Kind::Float => write::<DoubleType>(group, cells, |cell| match cell {
            Cell::Float(n) => Some(*n),
            _ => None,
        }),
        Kind::Flag => write::<BoolType>(group, cells, |cell| match cell {
            Cell::Flag(yes) => Some(*yes),
            _ => None,
        }),
    }
}

/// The next column: values where there are any, and for each row whether there is one.
fn write<'a, T: DataType>(
    group: &mut Group<'_>,
    cells: impl Iterator<Item = &'a Cell<'a>>,
    value: impl Fn(&Cell<'_>) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let cells: Vec<Option<T::T>> = cells.map(value).collect();
    let levels: Vec<i16> = cells.iter().map(|cell| cell.is_some().into()).collect();
    let values: Vec<T::T> = cells.into_iter().flatten().collect();
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    column.close()
}
