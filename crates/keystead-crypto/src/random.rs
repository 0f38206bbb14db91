use crate::error::CryptoError;

/// Draws `N` bytes from the approved generator of AWS-LC (CTR_DRBG with AES-256, NIST SP 800-90A),
/// used as drawn (SP 800-133r2, 6.1). For nonces, identifiers and other values that are no secrets:
/// a secret belongs into a [`Secret`](crate::Secret) or into the [arena](crate::arena), which are
/// filled in place.
///
/// # Errors
/// [`CryptoError::Random`]: abandon the request.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

/// Fills `out` as [`random_bytes`] does. After an error its content is unspecified and must not be
/// used.
///
/// # Errors
/// [`CryptoError::Random`]: abandon the request.
pub fn fill_random(out: &mut [u8]) -> Result<(), CryptoError> {
    aws_lc_rs::rand::fill(out).map_err(|_| CryptoError::Random)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ_and_fill_the_whole_buffer() {
        let (a, b) = (random_bytes::<32>().unwrap(), random_bytes::<32>().unwrap());
        assert_ne!(a, b);
        // A buffer of 4096 zero bytes has a run of eight zeros left only if a part was not filled.
        let mut long = vec![0; 4096];
        fill_random(&mut long).unwrap();
        assert!(!long.windows(8).any(|run| run == [0; 8]));
    }
}
