//! A RESO field name as a column name: `VirtualTourURLUnbranded` is `virtual_tour_url_unbranded`.

/// The column that a field fills. A word begins at a capital after a small letter or a digit, and at the last
/// capital of a run that small letters follow.
pub(crate) fn snake_case(field: &str) -> String {
    let bytes = field.as_bytes();
    let mut name = String::with_capacity(field.len() + 6);
    for (at, letter) in field.char_indices() {
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let after = bytes.get(at + 1);
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || after.is_some_and(u8::is_ascii_lowercase)
            });
        if begins {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn runs_of_capitals_are_one_word() {
        for (field, name) in [
            ("ListPrice", "list_price"),
            ("VirtualTourURLUnbranded", "virtual_tour_url_unbranded"),
            ("MLSAreaMajor", "mls_area_major"),
            ("NewConstructionYN", "new_construction_yn"),
            ("IDXOfficeParticipationYN", "idx_office_participation_yn"),
            ("PostalCodePlus4", "postal_code_plus4"),
            ("OfficeAddress1", "office_address1"),
            ("Order", "order"),
        ] {
            assert_eq!(snake_case(field), name);
        }
    }
}
