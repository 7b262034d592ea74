//! Bytes as text: base64 (RFC 4648, section 4).

/// Digits of base64 (RFC 4648).
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the bytes in base64, with padding.
pub fn in_base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0_u32, |number, index| {
            (number << 8) | u32::from(three.get(index).copied().unwrap_or(0))
        });
        for digit in 0..4 {
            let is_padding = digit > three.len();
            let value = (number >> (18 - 6 * digit)) & 0x3f;
            text.push(if is_padding {
                '='
            } else {
                char::from(BASE64[value as usize])
            });
        }
    }
    text
}

/// Returns the bytes of a text in base64; `None` if it is none.
pub fn of_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    let digits = text.iter().take_while(|byte| **byte != b'=').count();
    let is_padding = text[digits..].iter().all(|byte| *byte == b'=');
    if !text.len().is_multiple_of(4) || !is_padding || text.len() - digits > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for four in text[..digits].chunks(4) {
        let mut number = 0_u32;
        for index in 0..4 {
            let value = match four.get(index) {
                Some(digit) => BASE64.iter().position(|known| known == digit)?,
                None => 0,
            };
            number = number << 6 | value as u32;
        }
        bytes.extend_from_slice(&number.to_be_bytes()[1..four.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_what_is_no_multiple_of_three() {
        for (bytes, text) in [
            (&b"foobar"[..], "Zm9vYmFy"),
            (b"fooba", "Zm9vYmE="),
            (b"foob", "Zm9vYg=="),
            (b"", ""),
        ] {
            assert_eq!(in_base64(bytes), text);
            assert_eq!(of_base64(text).unwrap(), bytes);
        }
    }

    #[test]
    fn what_is_no_base64_has_no_bytes() {
        for text in ["Zm9", "Zm9*", "Zg==Zg==", "====", "Z==="] {
            assert_eq!(of_base64(text), None, "{text}");
        }
    }
}
