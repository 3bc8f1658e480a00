//! `browser-glue INPUT.wasm OUTPUT_FOLDER NAME`: an ES module and the WebAssembly it loads.

use std::{env, process::ExitCode};

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, folder, name] = arguments.as_slice() else {
        eprintln!("usage: browser-glue INPUT.wasm OUTPUT_FOLDER NAME");
        return ExitCode::from(2);
    };
    let mut glue = Bindgen::new();
    glue.input_path(input)
        .out_name(name)
        .typescript(false)
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true);
    match glue.web(true).and_then(|glue| glue.generate(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("browser-glue: {error:#}");
            ExitCode::FAILURE
        }
    }
}
