//! Length-prefixed fields: no two lists of fields give the same bytes.

/// `len` as four bytes, most significant first.
pub(crate) fn be32(len: usize) -> [u8; 4] {
    // A length of 4 GiB cannot get here: requests and records are bounded by some kilobytes.
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// Appends `be32(length) ‖ field`.
pub(crate) fn push(out: &mut Vec<u8>, field: &[u8]) {
    out.extend_from_slice(&be32(field.len()));
    out.extend_from_slice(field);
}

/// `prefix ‖ be32(number of fields)`, then every field by [`push`]: the authenticated data of
/// wrapped records.
pub(crate) fn authenticated(prefix: &[u8], fields: &[&[u8]]) -> Vec<u8> {
    let len = fields.iter().map(|field| 4 + field.len()).sum::<usize>();
    let mut out = Vec::with_capacity(prefix.len() + 4 + len);
    out.extend_from_slice(prefix);
    out.extend_from_slice(&be32(fields.len()));
    for field in fields {
        push(&mut out, field);
    }
    out
}
