//! The bodies of STS requests: forms (WHATWG URL, "application/x-www-form-urlencoded"), with lists
//! and structures as names with numbers (AWS Query protocol).

use std::collections::BTreeMap;

use zeroize::Zeroize;

/// The most parameters of a form. The largest request of the API has some 200.
const PARAMETERS: usize = 512;
/// The most bytes of a parameter's name, decoded.
const NAME: usize = 256;

/// A form that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormError(pub(crate) &'static str);

/// The parameters of a form, each once. Wiped when dropped: one of them may be a token.
#[derive(Default)]
pub struct Form {
    parameters: BTreeMap<String, String>,
}

/// What decides where a request goes, before it is known from whom it is: `Action` and `Version`
/// as they stand in the body, undecoded. Absent ones are empty; of repeated ones the first counts,
/// since the form as a whole is refused later.
pub fn head(body: &[u8]) -> (&str, &str) {
    let value = |name: &[u8]| {
        body.split(|byte| *byte == b'&')
            .find_map(|pair| pair.strip_prefix(name))
            .and_then(|value| std::str::from_utf8(value).ok())
            .unwrap_or_default()
    };
    (value(b"Action="), value(b"Version="))
}

impl Form {
    /// Reads a form.
    ///
    /// # Errors
    /// [`FormError`] for more than 512 parameters, a long name, a name given twice, a broken escape,
    /// and for bytes that are not UTF-8.
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        let mut form = Self::default();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if form.parameters.len() == PARAMETERS {
                return Err(FormError("The request has too many parameters."));
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decoded(halves.next().unwrap_or_default())?;
            let value = decoded(halves.next().unwrap_or_default())?;
            if name.len() > NAME {
                return Err(FormError("The name of a parameter is too long."));
            }
            if form.parameters.insert(name, value).is_some() {
                return Err(FormError("A parameter is given more than once."));
            }
        }
        Ok(form)
    }

    /// A parameter that is one text.
    #[must_use]
    pub fn scalar(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The items of a list: of each what follows `<name>.member.<number>` in the parameters' names,
    /// with the value. The rest is empty for a list of texts, and `.<member>` for one of structures.
    ///
    /// # Errors
    /// [`FormError`] if numbers do not run from 1 without a gap, or are written in another way.
    pub fn list(&self, name: &str) -> Result<Vec<Vec<(&str, &str)>>, FormError> {
        const ODD: FormError = FormError("The members of a list are not numbered from 1.");
        if self.parameters.get(name).is_some_and(|value| !value.is_empty()) {
            return Err(FormError("A list is given as a single value."));
        }
        let prefix = format!("{name}.member.");
        let mut items: BTreeMap<usize, Vec<(&str, &str)>> = BTreeMap::new();
        let below = self.parameters.range(prefix.clone()..);
        for (key, value) in below.take_while(|(key, _)| key.starts_with(&prefix)) {
            let rest = key.get(prefix.len()..).unwrap_or_default();
            let digits = rest.find('.').unwrap_or(rest.len());
            let (number, member) = rest.split_at(digits);
            let canonical = number.len() <= 4
                && !number.starts_with('0')
                && number.bytes().all(|byte| byte.is_ascii_digit());
            let number = number.parse().ok().filter(|_| canonical).ok_or(ODD)?;
            items.entry(number).or_default().push((member, value));
        }
        let whole = items.keys().copied().eq(1..=items.len());
        if whole { Ok(items.into_values().collect()) } else { Err(ODD) }
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        self.parameters.values_mut().for_each(Zeroize::zeroize);
    }
}

fn decoded(text: &[u8]) -> Result<String, FormError> {
    const ESCAPE: FormError = FormError("The request has a broken escape sequence.");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    let digit = bytes.next().and_then(|byte| char::from(*byte).to_digit(16));
                    digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(ESCAPE)
                };
                digit()? << 4 | digit()?
            }
            other => *other,
        });
    }
    String::from_utf8(out).map_err(|error| {
        error.into_bytes().zeroize();
        FormError("The request is not in UTF-8.")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blanks_and_escapes() {
        let form = Form::parse(b"a=1+2%203%2B&b=%C3%BC&c&d==&&").unwrap();
        assert_eq!(form.scalar("a"), Some("1 2 3+"));
        assert_eq!(form.scalar("b"), Some("\u{fc}"));
        assert_eq!((form.scalar("c"), form.scalar("d")), (Some(""), Some("=")));
        assert_eq!(form.scalar("e"), None);
    }

    #[test]
    fn what_is_not_a_form() {
        for body in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2", "a=1&%61=2", "a&a"] {
            assert!(Form::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Form::parse(b"a=\xff").is_err());
        assert!(Form::parse(format!("{}=1", "n".repeat(257)).as_bytes()).is_err());
        let many = |count: usize| {
            let all: Vec<_> = (0..count).map(|number| format!("n{number}=")).collect();
            Form::parse(all.join("&").as_bytes()).is_ok()
        };
        assert!(many(512) && !many(513));
    }

    #[test]
    fn lists_run_from_one_without_a_gap() {
        let form = Form::parse(
            b"T.member.2.Key=b&T.member.1.Key=a&T.member.1.Value=x&U.member.10=j&V=&T.memberx.1=n",
        )
        .unwrap();
        let tags = form.list("T").unwrap();
        assert_eq!(tags, [vec![(".Key", "a"), (".Value", "x")], vec![(".Key", "b")]]);
        assert!(form.list("U").is_err());
        assert_eq!(form.list("V").unwrap(), Vec::<Vec<_>>::new());
        assert_eq!(form.list("W").unwrap(), Vec::<Vec<_>>::new());
        let ten: Vec<_> = (1..=11).map(|n| format!("L.member.{n}={n}")).collect();
        let form = Form::parse(ten.join("&").as_bytes()).unwrap();
        let values: Vec<_> =
            form.list("L").unwrap().iter().map(|item| item[0].1.to_owned()).collect();
        assert_eq!(values, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
        for body in [
            "L.member.0=a",
            "L.member.01=a",
            "L.member.=a",
            "L.member.x=a",
            "L=a",
            "L.member.+1=a",
            "L.member.99999999999999999999=a",
            "L.member.1=a&L.member.3=c",
        ] {
            assert!(Form::parse(body.as_bytes()).unwrap().list("L").is_err(), "{body}");
        }
    }

    #[test]
    fn the_head_is_read_as_it_stands() {
        assert_eq!(head(b"Action=A&Version=V&Action=B"), ("A", "V"));
        assert_eq!(head(b"x=Action=A"), ("", ""));
        assert_eq!(head(b"Action=\xff&Version=%41"), ("", "%41"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = head(&body);
            if let Ok(form) = Form::parse(&body) {
                let _ = form.list("Tags");
            }
        }

        #[test]
        fn what_was_encoded_is_decoded(
            pairs in proptest::collection::btree_map("[^&]{0,12}", ".{0,20}", 0..8),
        ) {
            let encoded = |text: &str| -> String {
                text.bytes().map(|byte| format!("%{byte:02x}")).collect()
            };
            let body: Vec<_> = pairs.iter().map(|(name, value)| {
                format!("{}={}", encoded(name), encoded(value))
            }).collect();
            let form = Form::parse(body.join("&").as_bytes()).unwrap();
            for (name, value) in &pairs {
                prop_assert_eq!(form.scalar(name), Some(value.as_str()));
            }
        }
    }
}
