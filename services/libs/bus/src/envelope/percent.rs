//! Percent-encoding of header values, as the CloudEvents bindings for HTTP and NATS define it.

/// Encodes space, `"`, `%` and everything outside printable ASCII, byte by byte of the UTF-8 form.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' => push_escaped(&mut encoded, byte),
            0x21..=0x7e => encoded.push(char::from(byte)),
            _ => push_escaped(&mut encoded, byte),
        }
    }
    encoded
}

/// Decodes every `%XX`; `None` when an escape is broken or the bytes are no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

fn push_escaped(text: &mut String, byte: u8) {
    text.push('%');
    text.push_str(&format!("{byte:02X}"));
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
