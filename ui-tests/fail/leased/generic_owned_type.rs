use lease::leased;

#[leased(owned)]
struct Buffer<T> {
    items: Vec<T>,
}

#[leased(owned)]
enum Text<'a> {
    Borrowed(&'a str),
}

fn main() {}
