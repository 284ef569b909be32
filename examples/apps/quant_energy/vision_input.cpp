// SPDX-License-Identifier: Apache-2.0
#include "vision_input.hpp"

#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>
#include <qtk/io/cifar.hpp>
#include <qtk/io/digits.hpp>
#include <qtk/io/idx.hpp>
#include <qtk/io/image_folder.hpp>
#include <qtk/io/image_preprocess.hpp>

#include <fmt/format.h>

#include "did_you_mean.hpp"
#include <algorithm>
#include <filesystem>
#include <numeric>
#include <string_view>
#include <utility>

namespace app {
namespace {

namespace fs = std::filesystem;

/// KIND:FOLDER
struct data_name {
    std::string kind;
    fs::path folder;
};

[[nodiscard]] data_name parse_data(std::string const& text) {
    std::size_t const colon = std::min(text.find(':'), text.size());
    data_name name{text.substr(0, colon), {}};
    if (colon < text.size()) name.folder = text.substr(colon + 1);
    std::vector<std::string> const kinds{"digits", "cifar10", "cifar100", "mnist", "folder"};
    if (std::ranges::find(kinds, name.kind) == kinds.end())
        throw qtk::value_error(
            "--data: expected digits, cifar10:DIR, cifar100:DIR, mnist:DIR or folder:DIR, found "
            "\"" +
            text + "\"." + did_you_mean(name.kind, kinds));
    if (name.folder.empty() && name.kind != "digits")
        throw qtk::value_error("--data " + name.kind +
                               ": expected a folder behind a colon: " + name.kind + ":DIR");
    if (name.folder.empty()) name.folder = QTK_DATA_DIR "/digits";
    return name;
}

[[nodiscard]] qtk::image_transform transform_of(vision_options const& options,
                                                data_name const& data) {
    qtk::image_transform how =
        options.is_imagenet ? qtk::imagenet_transform() : qtk::image_transform{};
    if (options.short_side != 0) how.short_side = options.short_side;
    if (options.crop != 0) how.crop = options.crop;
    if (!options.mean.empty()) how.mean = options.mean;
    if (!options.deviation.empty()) how.deviation = options.deviation;
    float const usual = data.kind == "digits" ? qtk::digit_white : 255.0f;
    how.scale = 1.0f / (options.divisor > 0.0f ? options.divisor : usual);
    return how;
}

/// Rows of pixels from rows of images.
[[nodiscard]] labelled_batch batch_of(std::vector<float> values, qtk::image_shape shape,
                                      std::vector<std::uint16_t> labels) {
    qtk::matrix pixels(labels.size() * shape.pixels(), shape.channels);
    std::ranges::copy(values, pixels.data());
    return {qtk::image_batch(std::move(pixels), shape), std::move(labels)};
}
[[nodiscard]] labelled_batch batch_of(qtk::labelled_images const& images,
                                      qtk::image_transform const& how) {
    if (images.count == 0) throw qtk::value_error("--data: there is no image");
    std::vector<float> values;
    qtk::image_shape shape;
    for (std::size_t i = 0; i < images.count; ++i) {
        qtk::image_tensor const one = preprocess(images.image(i), how);
        shape = {one.height, one.width, one.channels};
        values.insert(values.end(), one.values.begin(), one.values.end());
    }
    return batch_of(std::move(values), shape, images.labels);
}
/// Of a folder, whose images may have many sizes: they are read one by one.
[[nodiscard]] labelled_batch batch_of(std::vector<qtk::labelled_file> const& files,
                                      qtk::image_transform const& how) {
    std::vector<float> values;
    std::vector<std::uint16_t> labels;
    qtk::image_shape shape;
    for (qtk::labelled_file const& file : files) {
        qtk::image_tensor const one = preprocess(qtk::read_image(file.path).view(), how);
        qtk::image_shape const now{one.height, one.width, one.channels};
        if (!labels.empty() && now != shape)
            throw qtk::io_error(file.path.string(), "the image becomes " + to_string(now) +
                                                        ", the ones before " + to_string(shape) +
                                                        ". Hint: --short-side and --crop");
        shape = now;
        values.insert(values.end(), one.values.begin(), one.values.end());
        labels.push_back(file.label);
    }
    return batch_of(std::move(values), shape, std::move(labels));
}

/// 0, 1, ... count - 1 in a random order.
[[nodiscard]] std::vector<std::size_t> shuffled(std::size_t count, std::uint64_t seed) {
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    qtk::splitmix64 random(seed);
    for (std::size_t i = count; i > 1; --i)
        std::swap(order[i - 1], order[static_cast<std::size_t>(qtk::uniform_index(random, i))]);
    return order;
}

[[nodiscard]] qtk::labelled_images mnist(fs::path const& folder, std::string const& part) {
    return qtk::read_idx(folder / (part + "-images-idx3-ubyte"),
                         folder / (part + "-labels-idx1-ubyte"));
}
[[nodiscard]] qtk::labelled_images first_of(qtk::labelled_images const& all, std::size_t most) {
    return most == 0 || most >= all.count ? all : all.part(0, most);
}

/// The images that the set itself keeps for training; for calibration those of the digits have a range of their own.
[[nodiscard]] qtk::labelled_images training_part(data_name const& data) {
    if (data.kind == "digits") return qtk::read_digits(data.folder, qtk::training_digits);
    if (data.kind == "cifar10") return qtk::read_cifar10_training(data.folder);
    if (data.kind == "cifar100") return qtk::read_cifar100(data.folder / "train.bin");
    if (data.kind == "mnist") return mnist(data.folder, "train");
    throw qtk::value_error("--data " + data.kind +
                           ": a folder of images has no part to train with. Hint: digits, cifar10, "
                           "cifar100 or mnist");
}
[[nodiscard]] qtk::labelled_images test_part(data_name const& data) {
    if (data.kind == "digits") return qtk::read_digits(data.folder, qtk::test_digits);
    if (data.kind == "cifar10") return qtk::read_cifar10(data.folder / "test_batch.bin");
    if (data.kind == "cifar100") return qtk::read_cifar100(data.folder / "test.bin");
    return mnist(data.folder, "t10k");
}

/// The files of a folder in a random order that is the same everywhere.
[[nodiscard]] std::vector<qtk::labelled_file> shuffled_files(fs::path const& folder) {
    std::vector<qtk::labelled_file> const files = qtk::list_image_folder(folder).files;
    std::vector<qtk::labelled_file> mixed;
    for (std::size_t const i : shuffled(files.size(), 0)) mixed.push_back(files[i]);
    return mixed;
}

/// A pool is not larger than what draws can show: memory for thousands of images of 224 x 224 adds up.
constexpr std::size_t most_of_pool = 2000;

[[nodiscard]] vision_data read_folder(vision_options const& options, data_name const& data) {
    qtk::image_transform const how = transform_of(options, data);
    std::vector<qtk::labelled_file> test = shuffled_files(data.folder), pool;
    std::string from = options.calibration_data;
    if (options.calibration_data.empty()) {
        // A fifth of the images is set aside.
        std::size_t const aside = std::max<std::size_t>(test.size() / 5, 1);
        if (test.size() < 2)
            throw qtk::value_error("--data: expected at least two images, found " +
                                   std::to_string(test.size()));
        pool.assign(test.end() - static_cast<std::ptrdiff_t>(aside), test.end());
        test.resize(test.size() - aside);
        from = "a fifth of the same folder";
    } else {
        data_name const other = parse_data(options.calibration_data);
        if (other.kind != "folder")
            throw qtk::value_error("--calibration-data: expected folder:DIR beside --data folder");
        pool = shuffled_files(other.folder);
    }
    if (pool.size() > most_of_pool) pool.resize(most_of_pool);
    std::size_t const most = options.test_images == 0 ? 1000 : options.test_images;
    if (test.size() > most) test.resize(most);
    vision_data read{batch_of(pool, how), batch_of(test, how), {}};
    read.description = fmt::format("{}: {} images in a random order to test, {} to calibrate ({})",
                                   data.folder.string(), test.size(), pool.size(), from);
    return read;
}

}  // namespace

void vision_options::add_to(CLI::App& command, bool has_many_models) {
    CLI::Option* const model =
        command
            .add_option(
                "--model", models,
                std::string(
                    "safetensors file or folder of a ResNet (torchvision's names) or ViT/DeiT "
                    "(timm's); the digits' networks by default") +
                    (has_many_models ? "; may be given several times" : ""))
            ->type_name("MODEL");
    if (!has_many_models) model->expected(1);
    command
        .add_option("--data", data,
                    "digits, cifar10:DIR, cifar100:DIR, mnist:DIR, or folder:DIR with a folder of "
                    "JPEG, PNG or PPM files for each class")
        ->capture_default_str()
        ->type_name("{digits,cifar10:DIR,cifar100:DIR,mnist:DIR,folder:DIR}");
    command
        .add_option("--calibration-data", calibration_data,
                    "folder:DIR to calibrate with; a fifth of the folder by default")
        ->type_name("folder:DIR");
    command
        .add_option("--calibration-images", calibration_images,
                    "images of a draw to calibrate with")
        ->check(CLI::Range(1, 1000000))
        ->capture_default_str();
    command.add_option("--test-images", test_images, "at most; 0: all, of a folder 1000")
        ->capture_default_str();
    command.add_option("--heads", heads, "of a ViT; 0: what the files say, or by the width")
        ->capture_default_str();
    command.add_flag("--imagenet", is_imagenet,
                     "short side 256, crop 224, ImageNet's means and deviations");
    command.add_option("--short-side", short_side, "resize images to it; 0: as they are")
        ->capture_default_str();
    command.add_option("--crop", crop, "side of the square from the centre; 0: everything")
        ->capture_default_str();
    command.add_option("--mean", mean, "by channel, after dividing")->delimiter(',');
    command.add_option("--deviation", deviation, "by channel, after dividing")->delimiter(',');
    command.add_option("--divisor", divisor, "of bytes; 0: 16 for the digits, else 255")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
}

labelled_batch vision_data::draw(std::size_t count, std::uint64_t seed) const {
    std::vector<std::size_t> order = shuffled(pool.count(), seed);
    order.resize(std::min(count, order.size()));
    qtk::image_shape const shape = pool.images.shape();
    std::vector<std::uint16_t> labels;
    qtk::matrix pixels(order.size() * shape.pixels(), shape.channels);
    float* to = pixels.data();
    for (std::size_t const i : order) {
        auto const one = pool.images.view().slice(i, 1).pixels();
        to = std::copy_n(one.data, one.size(), to);
        labels.push_back(pool.labels[i]);
    }
    return {qtk::image_batch(std::move(pixels), shape), std::move(labels)};
}

vision_data read_vision_data(vision_options const& options) {
    data_name const data = parse_data(options.data);
    if (data.kind == "folder") return read_folder(options, data);
    if (!options.calibration_data.empty())
        throw qtk::value_error("--calibration-data goes with --data folder:DIR; " + data.kind +
                               " has a part to calibrate with");
    qtk::image_transform const how = transform_of(options, data);
    qtk::labelled_images const pool = data.kind == "digits"
                                          ? qtk::read_digits(data.folder, qtk::calibration_digits)
                                          : first_of(training_part(data), most_of_pool);
    qtk::labelled_images const test = first_of(test_part(data), options.test_images);
    vision_data read{batch_of(pool, how), batch_of(test, how), {}};
    read.description =
        fmt::format("{}: {} images to test, draws of {} from {} others to calibrate", data.kind,
                    test.count, std::min(options.calibration_images, pool.count), pool.count);
    return read;
}

labelled_batch read_training_images(vision_options const& options) {
    data_name const data = parse_data(options.data);
    qtk::labelled_images images = training_part(data);
    if (data.kind != "digits") {
        // What is calibrated with is not trained with.
        if (images.count <= most_of_pool)
            throw qtk::value_error("--data " + options.data + ": expected more than " +
                                   std::to_string(most_of_pool) + " images to train with, found " +
                                   std::to_string(images.count));
        images = images.part(most_of_pool, images.count - most_of_pool);
    }
    return batch_of(images, transform_of(options, data));
}

qtk::vision_model open_vision_model(vision_options const& options, std::size_t index) {
    return qtk::load_vision_model(options.models.at(index), {.heads = options.heads});
}

std::string name_of_model(std::string const& path) {
    fs::path const whole(path);
    std::string const stem = whole.stem().string();
    if (whole.extension() == ".safetensors" && stem == "model" && whole.has_parent_path())
        return whole.parent_path().filename().string();
    return stem.empty() || stem == "." ? whole.lexically_normal().parent_path().filename().string()
                                       : stem;
}

}  // namespace app
