pub(super) fn measure(_: u32) -> anyhow::Result<super::figures::Row> {
    Ok(Default::default())
}
