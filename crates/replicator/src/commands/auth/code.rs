//! The code in whatever comes back from the browser.

use secrecy::SecretString;
use url::Url;

/// More of somebody else's words is not repeated.
const MOST_WORDS: usize = 200;

/// The code in a text: the text itself, or a parameter of the address in it. An address must carry the state that
/// it was sent out with, if that is known: another one may be somebody else's doing.
pub(super) fn read(text: &str, state: Option<&str>) -> Result<SecretString, String> {
    let text = text.trim();
    if text.contains("://") {
        let address: Url =
            text.parse().map_err(|error| format!("this is no whole address ({error}); copy all of it"))?;
        return of_address(&address, state);
    }
    match text {
        "" => Err("there is no code; paste the address that the browser ends at".to_owned()),
        text if text.contains(char::is_whitespace) => {
            Err("this is no code; paste the address that the browser ends at".to_owned())
        }
        text => Ok(text.into()),
    }
}

/// The code that an address brings back.
pub(super) fn of_address(address: &Url, state: Option<&str>) -> Result<SecretString, String> {
    let param = |wanted: &str| {
        let found = address.query_pairs().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
    };
    if state.is_some_and(|state| param("state").as_deref() != Some(state)) {
        return Err("this address belongs to another sign-in: its state differs; begin anew".to_owned());
    }
    if let Some(error) = param("error") {
        let words = [Some(error), param("error_description")].into_iter().flatten();
        let words: String = words.collect::<Vec<_>>().join(": ").chars().take(MOST_WORDS).collect();
        return Err(format!("the sign-in was refused: {}", words.replace(char::is_control, " ")));
    }
    param("code").map(SecretString::from).ok_or_else(|| "there is no code in this address".to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn code(text: &str, state: Option<&str>) -> Result<String, String> {
        read(text, state).map(|code| code.expose_secret().to_owned())
    }

    #[test]
    fn a_code_is_found_alone_or_in_the_address() {
        for text in ["a/b+c", " a/b+c\r\n", "http://127.0.0.1:1/back?code=a%2Fb%2Bc&state=s1"] {
            assert_eq!(code(text, Some("s1")), Ok("a/b+c".to_owned()), "{text}");
            assert_eq!(code(text, None), Ok("a/b+c".to_owned()), "{text}");
        }
    }

    #[test]
    fn an_address_of_another_sign_in_is_refused_whatever_it_brings() {
        for query in ["code=c", "code=c&state=s2", "state=s2&error=access_denied", "code=c&state="] {
            let said = code(&format!("http://127.0.0.1:1/back?{query}"), Some("s1")).unwrap_err();
            assert!(said.contains("another sign-in"), "{query}: {said}");
        }
    }

    #[test]
    fn what_was_refused_is_told_in_one_short_line() {
        let long = "x%0A".repeat(500);
        let address =
            format!("https://here/back?state=s1&error=redirect_uri_mismatch&error_description={long}");
        let said = code(&address, Some("s1")).unwrap_err();
        assert!(said.starts_with("the sign-in was refused: redirect_uri_mismatch: x x"), "{said}");
        assert!(said.len() < 300 && !said.contains('\n'), "{said}");
        for empty in ["", "  ", "no code at all", "https://here/back?state=s1"] {
            assert!(code(empty, Some("s1")).is_err(), "{empty:?} was taken");
        }
    }
}
