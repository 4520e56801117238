//! Passwords of repositories as Stratos sends them: base64 of AES-128 in ECB mode under CARTRIDGE_KEY, of 16 characters.
//!
//! (What that mode is worth is not ours to choose: the text is as secret as the key in the payload beside it.)

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use base64ct::{Base64, Encoding};

/// Longest password taken, in bytes of its base64 text.
const LONGEST: usize = 4096;

/// The password, without the padding and all else that cannot be printed; `None` if the text or the key has another form.
pub fn password(encrypted: &str, key: &str) -> Option<String> {
    let cipher = Aes128::new_from_slice(key.as_bytes()).ok()?;
    if encrypted.len() > LONGEST {
        return None;
    }
    // Java breaks base64 into lines.
    let text: String = encrypted.split_ascii_whitespace().collect();
    let mut bytes = Base64::decode_vec(&text).ok()?;
    let (blocks, rest) = bytes.as_chunks_mut::<16>();
    if !rest.is_empty() {
        return None;
    }
    for block in blocks {
        cipher.decrypt_block(block.into());
    }
    let text = String::from_utf8(bytes).ok()?;
    Some(text.chars().filter(|letter| !letter.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf %s PASSWORD | openssl enc -aes-128-ecb -K $(printf %s 0123456789abcdef | xxd -p) -base64 -A`
    #[test]
    fn what_openssl_encrypts_is_read() {
        for (encrypted, plain) in [
            ("iNo+4RE7nEnpk338CYGhcw==", "secret"),
            ("UblvDWSQVWqDjQEFQ0i2Pg==", "p@ss w0rd!"),
            ("cnJ+iB7c/QEApxhoeQm1ZTdyIuBhqSTFkc2cJ+oWPtQ=", "0123456789abcdef"),
            ("cnJ+iB7c/QEApxhoeQm1ZTdy\r\nIuBhqSTFkc2cJ+oWPtQ=", "0123456789abcdef"),
            ("f75iZW3ycWuhxElRoqAJWA==", "fünf"),
            ("N3Ii4GGpJMWRzZwn6hY+1A==", ""),
        ] {
            assert_eq!(password(encrypted, "0123456789abcdef").as_deref(), Some(plain));
        }
    }

    #[test]
    fn other_forms_and_another_key_are_refused() {
        let key = "0123456789abcdef";
        for bad in [
            "secret",
            "c2hvcnQ=",
            "iNo+4RE7nEnpk338CYGhcw",
            "é",
            &"A".repeat(LONGEST + 4),
        ] {
            assert_eq!(password(bad, key), None, "{bad:.20}");
        }
        for key in ["", "short", "0123456789abcdef0", "fedcba9876543210"] {
            assert_eq!(password("iNo+4RE7nEnpk338CYGhcw==", key), None, "{key}");
        }
    }
}
