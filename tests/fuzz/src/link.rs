//! What a stranger who knows the secret, or a damaged line, can say on the link between edge and core.

use meridian_link::check;

/// Reads a stream as both ends do, whole and in pieces: never a panic, what was read is written back as the same, and the
/// pieces make no difference.
pub fn link(bytes: &[u8]) {
    for read in [check::as_core, check::as_edge] {
        let well = read(bytes, bytes.len());
        assert_eq!(read(bytes, 5), well);
    }
}
