use lease::leased;

#[leased(borrowed)]
struct Frame<'a> {
    bytes: &'a [u8],
}

fn main() {}
