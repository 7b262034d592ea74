//! Numbers as text, where there is no allocator: for the files of /proc that take them.

/// As many as the largest number has.
pub const DIGITS: usize = 10;

/// The decimal digits of a number, in `digits`.
pub fn decimal(number: u32, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut rest = number;
    let mut first = DIGITS;
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        first = place;
        if rest == 0 {
            break;
        }
    }
    &digits[first..]
}

/// The length of a line of an id map.
pub const MAP_BYTES: usize = 2 * DIGITS + 3;

/// The line of an id map that maps `id` to itself, "ID ID 1" (user_namespaces(7)), in `text`.
pub fn identity_map(id: u32, text: &mut [u8; MAP_BYTES]) -> &[u8] {
    let mut digits = [0; DIGITS];
    let number = decimal(id, &mut digits);
    let mut length = 0;
    for part in [number, b" ", number, b" 1"] {
        for byte in part {
            text[length] = *byte;
            length += 1;
        }
    }
    &text[..length]
}

/// The numbers in a text, such as a list of process ids. One that the text cuts off at its end is left out.
pub fn numbers(text: &[u8]) -> impl Iterator<Item = usize> {
    let mut number = None;
    text.iter().filter_map(move |byte| {
        if byte.is_ascii_digit() {
            let digit = usize::from(byte - b'0');
            number = Some(
                number
                    .unwrap_or(0_usize)
                    .wrapping_mul(10)
                    .wrapping_add(digit),
            );
            return None;
        }
        number.take()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        for number in [0, 7, 10, 65_534, 1_000_000, u32::MAX] {
            let mut digits = [b'x'; DIGITS];
            assert_eq!(decimal(number, &mut digits), number.to_string().as_bytes());
            let mut text = [0; MAP_BYTES];
            let line = format!("{number} {number} 1");
            assert_eq!(identity_map(number, &mut text), line.as_bytes());
        }
    }

    #[test]
    fn numbers_are_read_but_for_one_that_is_cut_off() {
        let read = |text: &[u8]| numbers(text).collect::<Vec<_>>();
        assert_eq!(read(b"1 23 456 "), [1, 23, 456]);
        assert_eq!(read(b"1 23 45"), [1, 23]);
        assert!(read(b"").is_empty() && read(b"  ").is_empty());
    }
}
