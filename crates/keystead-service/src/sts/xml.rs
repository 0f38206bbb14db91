//! The answers of STS (AWS Query protocol): XML elements of texts, everything escaped.

use crate::error::{Error, Fault};
use crate::service::{Reply, RequestId};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Elements as they are written. Its buffer is wiped: it may hold a secret access key.
pub(crate) struct Xml(Reply);

impl Xml {
    /// Room for `capacity` bytes; a buffer that grows leaves its content behind.
    fn new(capacity: usize) -> Self {
        Self(Reply::new(Vec::with_capacity(capacity)))
    }

    /// `<name>text</name>`
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        self.escaped(text);
        self.close(name);
    }

    /// `<name>`, what `content` writes, `</name>`
    pub(crate) fn within(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.open(name);
        content(self);
        self.close(name);
    }

    fn root(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.raw("<");
        self.raw(name);
        self.raw(" xmlns=\"");
        self.raw(NAMESPACE);
        self.raw("\">");
        content(self);
        self.close(name);
        self.raw("\n");
    }

    fn open(&mut self, name: &str) {
        self.raw("<");
        self.raw(name);
        self.raw(">");
    }

    fn close(&mut self, name: &str) {
        self.raw("</");
        self.raw(name);
        self.raw(">");
    }

    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Characters that no XML 1.0 document can hold become U+FFFD.
    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&#39;"),
                // A reader would make a line feed of it.
                '\r' => self.raw("&#13;"),
                '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'.. => {
                    self.raw(c.encode_utf8(&mut [0; 4]));
                }
                _ => self.raw("\u{fffd}"),
            }
        }
    }
}

/// The answer of an operation: its result and the id of the request.
pub(crate) fn answer(operation: &str, request: RequestId, result: impl FnOnce(&mut Xml)) -> Reply {
    // The longest has a session token of 4 KiB and some texts of 2 KiB.
    let mut xml = Xml::new(16 * 1024);
    xml.root(&format!("{operation}Response"), |xml| {
        xml.within(&format!("{operation}Result"), result);
        xml.within("ResponseMetadata", |xml| xml.text("RequestId", &request.to_string()));
    });
    xml.0
}

/// The body of a refusal in the words of STS.
#[must_use]
pub fn refusal(error: &Error, request: RequestId) -> Reply {
    let kind = match error.fault() {
        Fault::Client => "Sender",
        Fault::Server => "Receiver",
    };
    let mut xml = Xml::new(1024);
    xml.root("ErrorResponse", |xml| {
        xml.within("Error", |xml| {
            xml.text("Type", kind);
            xml.text("Code", error.type_name());
            xml.text("Message", error.message().unwrap_or_default());
        });
        xml.text("RequestId", &request.to_string());
    });
    xml.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let reply = answer("Do", RequestId([7; 16]), |xml| {
            xml.text("A", "<b a=\"1\">&'\r\n\t\u{1}\u{fffe}\u{fc}\u{1f600}");
        });
        assert_eq!(
            std::str::from_utf8(&reply).unwrap(),
            "<DoResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><DoResult>\
             <A>&lt;b a=&quot;1&quot;&gt;&amp;&#39;&#13;\n\t\u{fffd}\u{fffd}\u{fc}\u{1f600}</A>\
             </DoResult><ResponseMetadata>\
             <RequestId>07070707-0707-0707-0707-070707070707</RequestId>\
             </ResponseMetadata></DoResponse>\n"
        );
    }

    #[test]
    fn refusals_say_whose_fault_it_is() {
        let body =
            |error: &Error| String::from_utf8(refusal(error, RequestId([7; 16])).to_vec()).unwrap();
        let ours = body(&Error::internal("a secret detail"));
        assert!(ours.contains("<Type>Receiver</Type>") && !ours.contains("detail"), "{ours}");
        let theirs = body(&Error::sts("ValidationError", "a <b>"));
        assert_eq!(
            theirs,
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
             <Type>Sender</Type><Code>ValidationError</Code><Message>a &lt;b&gt;</Message></Error>\
             <RequestId>07070707-0707-0707-0707-070707070707</RequestId></ErrorResponse>\n"
        );
    }
}
