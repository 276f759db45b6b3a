use std::sync::MutexGuard;

use lease::Pool;

static POOL: Pool<MutexGuard<'static, u32>> = Pool::new();

fn main() {}
