use lease::leased;

#[leased(owned, recycle = Session::reset)]
struct Session {
    user: u32,
}

impl Session {
    fn reset(&self) {}
}

#[leased(owned, recycle = "reset")]
struct Text(String);

fn main() {}
