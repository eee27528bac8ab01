//! Pages of a sorted list. The token is the key of the last entry, so that a page stays right when
//! entries come and go between calls.

use mlp_host::grpc::invalid_fields;
use tonic::Status;

/// Entries on a page where the caller names no number.
const DEFAULT: usize = 100;
/// The most entries on a page.
const MOST: usize = 500;

/// One page of `all`, which is sorted by `key`, and the token of the next one.
pub(super) fn page<T>(
    mut all: Vec<T>,
    key: impl Fn(&T) -> String,
    size: i32,
    token: &str,
) -> Result<(Vec<T>, String), Status> {
    let size = match usize::try_from(size) {
        Ok(0) => DEFAULT,
        Ok(size) if size <= MOST => size,
        _ => return Err(invalid_fields([("page_size", format!("{size} is not within 0 and {MOST}"))])),
    };
    if !token.is_empty() {
        all.retain(|entry| key(entry).as_str() > token);
    }
    let more = all.len() > size;
    all.truncate(size);
    let next = if more { all.last().map(key).unwrap_or_default() } else { String::new() };
    Ok((all, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_all_once_and_wrong_sizes_are_refused() {
        let all: Vec<_> = (0..250).map(|n| format!("{n:03}")).collect();
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let (entries, next) = page(all.clone(), Clone::clone, 100, &token).unwrap();
            seen.extend(entries);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, all);
        assert_eq!(page(all, Clone::clone, 501, "").unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
