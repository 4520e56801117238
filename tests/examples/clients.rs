//! Runs the client cases against any address: `cargo run -p cartridge-tests --example clients -- 127.0.0.1:8080 [site] [large]`.

use cartridge_tests::clients::bystander::Bystander;
use cartridge_tests::clients::client::Client;
use cartridge_tests::clients::{CASES, Service, site, slow};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let address = words.first().map_or("127.0.0.1:8080", String::as_str).parse()?;
    let expected = Client::connect(address)?.get("/", "")?.body;
    let service = Service {
        address,
        expected,
        load_seconds: 3,
        behind_qemu: true,
    };
    let mut cases = CASES.to_vec();
    if words.iter().any(|word| word == "site") {
        cases.extend(site::CASES);
    }
    if words.iter().any(|word| word == "large") {
        cases = slow::CASES.to_vec();
    }
    let only = words.iter().find_map(|word| word.strip_prefix("only="));
    for case in cases
        .into_iter()
        .filter(|case| only.is_none_or(|only| case.name.contains(only)))
    {
        let begun = std::time::Instant::now();
        let bystander = Bystander::start(&service)?;
        let result = (case.run)(&service).and_then(|said| Ok(format!("{said}; {}", bystander.finish()?)));
        match result {
            Ok(said) => println!("ok    {} ({:.1?}): {said}", case.name, begun.elapsed()),
            Err(error) => println!("FAIL  {} ({:.1?}): {error:#}", case.name, begun.elapsed()),
        }
    }
    Ok(())
}
