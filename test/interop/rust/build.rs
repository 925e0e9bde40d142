fn main() -> std::io::Result<()> {
    tonic_prost_build::configure()
        .build_server(false)
        .compile_protos(
            &[
                "proto/weir/v1/chat_service.proto",
                "proto/weir/v1/embed_service.proto",
                "proto/weir/v1/model_service.proto",
            ],
            &["proto"],
        )
}
