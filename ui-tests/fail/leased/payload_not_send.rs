use std::rc::Rc;

use lease::leased;

#[leased(owned)]
struct Session {
    user: Rc<str>,
}

fn main() {}
