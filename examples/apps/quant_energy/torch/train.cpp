// SPDX-License-Identifier: Apache-2.0
#include <qtk/core/error.hpp>
#include <qtk/core/random.hpp>

#include "torch_network.hpp"
#include "training.hpp"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace app {
namespace {

[[nodiscard]] at::Tensor to_labels(std::span<std::uint16_t const> labels) {
    at::Tensor t = torch::empty({static_cast<std::int64_t>(labels.size())}, torch::kLong);
    std::copy(labels.begin(), labels.end(), t.data_ptr<std::int64_t>());
    return t;
}

/// The logits of all images, without gradients, some at a time.
[[nodiscard]] at::Tensor all_logits(torch_network const& network, at::Tensor const& images) {
    torch::NoGradGuard const no_gradient;
    std::vector<at::Tensor> parts;
    for (at::Tensor const& some : images.split(64)) parts.push_back(network.forward(some));
    return torch::cat(parts);
}

/// (1 - share) cross entropy + share T^2 KL(teacher, network) at temperature T (Hinton et al. 2015).
[[nodiscard]] at::Tensor loss_of(at::Tensor const& logits, at::Tensor const& labels,
                                 at::Tensor const& teacher, training_options const& options) {
    namespace f = torch::nn::functional;
    at::Tensor loss = torch::cross_entropy_loss(logits, labels);
    if (options.distillation <= 0.0) return loss;
    double const t = options.temperature;
    at::Tensor const soft = f::kl_div((logits / t).log_softmax(1), (teacher / t).softmax(1),
                                      f::KLDivFuncOptions().reduction(torch::kBatchMean)) *
                            (t * t);
    return loss * (1.0 - options.distillation) + soft * options.distillation;
}

void require_options(training_options const& o, labelled_rows const& training,
                     labelled_rows const& validation) {
    for (labelled_rows const& rows : {training, validation})
        if (rows.images.count() != rows.labels.size() || rows.labels.empty())
            throw qtk::shape_error("train: expected a label for each of " +
                                   std::to_string(rows.images.count()) + " images, found " +
                                   std::to_string(rows.labels.size()));
    if (o.epochs == 0 || o.batch == 0)
        throw qtk::value_error("train: expected at least one epoch and one image a batch");
    if (!(o.rate > 0.0) || !(o.temperature > 0.0) || !(o.distillation >= 0.0) ||
        o.distillation > 1.0)
        throw qtk::value_error(
            "train: expected a learning rate and a temperature above zero and a share of "
            "distillation from 0 to 1");
}

/// Numbers 0 to n - 1 in an order that depends on the seed alone.
[[nodiscard]] at::Tensor shuffled(std::size_t n, std::uint64_t seed) {
    at::Tensor order = torch::empty({static_cast<std::int64_t>(n)}, torch::kLong);
    std::span<std::int64_t> const numbers(order.data_ptr<std::int64_t>(), n);
    std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
    qtk::splitmix64 random(seed);
    for (std::size_t i = n; i > 1; --i)
        std::swap(numbers[i - 1], numbers[static_cast<std::size_t>(qtk::uniform_index(random, i))]);
    return order;
}

/// Adam over weights, and over steps with rates that are in proportion to the steps: what Adam moves does not depend
/// on the size of a gradient, but a step must not move by more than a small part of itself.
class optimizer {
  public:
    optimizer(torch_network const& network, training_options const& options)
        : adam_(groups_of(network, options), torch::optim::AdamOptions(options.rate)) {
        for (auto& group : adam_.param_groups())
            rates_.push_back(static_cast<torch::optim::AdamOptions&>(group.options()).lr());
    }
    void clear() { adam_.zero_grad(); }
    /// One update; `share` of the rates.
    void step(double share) {
        for (std::size_t i = 0; i < rates_.size(); ++i)
            static_cast<torch::optim::AdamOptions&>(adam_.param_groups()[i].options())
                .lr(rates_[i] * share);
        adam_.step();
    }

  private:
    [[nodiscard]] static std::vector<torch::optim::OptimizerParamGroup> groups_of(
        torch_network const& network, training_options const& options) {
        std::vector<torch::optim::OptimizerParamGroup> groups;
        groups.emplace_back(network.weights());
        if (!options.learns_steps) return groups;
        for (at::Tensor const& steps : network.steps()) {
            double const size = steps.detach().mean().item<double>();
            groups.emplace_back(std::vector<at::Tensor>{steps},
                                std::make_unique<torch::optim::AdamOptions>(options.rate * size));
        }
        return groups;
    }

    torch::optim::Adam adam_;
    std::vector<double> rates_;
};

/// Steps never fall to zero: a thousandth of where they started is left.
void keep_positive(std::vector<at::Tensor> const& steps, std::vector<at::Tensor> const& least) {
    torch::NoGradGuard const no_gradient;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        at::Tensor step = steps[i];
        step.copy_(torch::maximum(step, least[i]));
    }
}

}  // namespace

bool has_torch() noexcept {
    return true;
}

training_outcome train_network(trained_network& network, trained_network const& teacher,
                               labelled_rows training, labelled_rows validation,
                               training_options const& options,
                               std::function<void(training_epoch const&)> const& on_epoch) {
    require_options(options, training, validation);
    auto const start = std::chrono::steady_clock::now();
    torch::manual_seed(options.seed);
    at::Tensor const images = to_images(training.images), labels = to_labels(training.labels);
    at::Tensor const seen = to_images(validation.images), truth = to_labels(validation.labels);
    at::Tensor const soft = options.distillation > 0.0
                                ? all_logits(torch_network(teacher, passage::learned), images)
                                : torch::zeros({images.size(0), 1});

    torch_network model(network, options.learns_steps ? passage::learned : passage::plain);
    if (options.learns_steps) model.start_steps(network);
    std::vector<at::Tensor> least;
    for (at::Tensor const& steps : model.steps()) least.push_back(steps.detach() * 1e-3);
    for (at::Tensor& tensor : model.weights()) tensor.requires_grad_();
    if (options.learns_steps)
        for (at::Tensor& steps : model.steps()) steps.requires_grad_();
    optimizer adam(model, options);

    std::size_t const count = training.labels.size();
    std::size_t const batches = (count + options.batch - 1) / options.batch;
    auto const updates = static_cast<double>(options.epochs * batches);
    double done = 0.0;
    training_outcome outcome;
    for (std::size_t epoch = 0; epoch < options.epochs; ++epoch) {
        at::Tensor const order = shuffled(count, qtk::word_at(options.seed, epoch));
        double sum = 0.0;
        for (at::Tensor const& some : order.split(static_cast<std::int64_t>(options.batch))) {
            adam.clear();
            at::Tensor const loss =
                loss_of(model.forward(images.index_select(0, some)), labels.index_select(0, some),
                        soft.index_select(0, some), options);
            loss.backward();
            adam.step(0.5 + 0.5 * std::cos(std::numbers::pi * done / updates));
            done += 1.0;
            if (options.learns_steps)
                keep_positive(model.steps(), least);
            else
                model.follow_extremes();
            sum += loss.item<double>() * static_cast<double>(some.size(0));
        }
        at::Tensor const logits = all_logits(model, seen);
        training_epoch now{.number = epoch + 1, .loss = sum / static_cast<double>(count)};
        now.validation_loss = torch::cross_entropy_loss(logits, truth).item<double>();
        now.validation_accuracy =
            logits.argmax(1).eq(truth).to(torch::kDouble).mean().item<double>();
        if (!std::isfinite(now.loss) || !std::isfinite(now.validation_loss))
            throw qtk::value_error("train: the loss is not finite after epoch " +
                                   std::to_string(now.number) + ". Hint: a lower learning rate");
        auto const is_better = [](training_epoch const& a, training_epoch const& b) {
            return a.validation_accuracy != b.validation_accuracy
                       ? a.validation_accuracy > b.validation_accuracy
                       : a.validation_loss < b.validation_loss;
        };
        if (outcome.epochs.empty() || is_better(now, outcome.epochs[outcome.best])) {
            outcome.best = epoch;
            model.write_to(network);
        }
        outcome.epochs.push_back(now);
        if (on_epoch) on_epoch(now);
    }
    outcome.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return outcome;
}

qtk::matrix torch_logits(trained_network const& network, qtk::pixel_rows images) {
    at::Tensor const logits =
        all_logits(torch_network(network, passage::learned), to_images(images));
    qtk::matrix result(static_cast<std::size_t>(logits.size(0)),
                       static_cast<std::size_t>(logits.size(1)));
    copy_to(logits, result.data());
    return result;
}

qtk::matrix adversarial_images(trained_network const& network, labelled_rows rows,
                               gradient_attack const& attack) {
    if (!(attack.epsilon >= 0.0) || attack.steps == 0)
        throw qtk::value_error("attack: expected an epsilon from 0 and at least one step");
    torch_network const model(network, passage::attack);
    at::Tensor const all = to_images(rows.images), labels = to_labels(rows.labels);
    double const reach = attack.epsilon;
    double const stride = attack.steps == 1 ? reach
                          : attack.step_size > 0.0
                              ? attack.step_size
                              : 2.5 * reach / static_cast<double>(attack.steps);
    torch::manual_seed(attack.seed);
    std::vector<at::Tensor> parts;
    constexpr std::int64_t at_once = 64;
    for (std::int64_t first = 0; first < all.size(0); first += at_once) {
        std::int64_t const count = std::min(at_once, all.size(0) - first);
        at::Tensor const images = all.narrow(0, first, count),
                         truth = labels.narrow(0, first, count);
        at::Tensor moved = images.clone();
        if (attack.has_random_start)
            moved = (moved + (torch::rand_like(moved) * 2.0 - 1.0) * reach).clamp(0.0, 1.0);
        for (std::size_t i = 0; i < attack.steps; ++i) {
            moved = moved.detach().requires_grad_();
            // Summed: one image's gradient does not depend on the others.
            at::Tensor const loss =
                torch::cross_entropy_loss(model.forward(moved), truth, {}, at::Reduction::Sum);
            at::Tensor const slope = torch::autograd::grad({loss}, {moved})[0];
            torch::NoGradGuard const no_gradient;
            moved = moved + slope.sign() * stride;
            moved = torch::maximum(torch::minimum(moved, images + reach), images - reach)
                        .clamp(0.0, 1.0);
        }
        parts.push_back(moved.detach());
    }
    at::Tensor const moved = torch::cat(parts).permute({0, 2, 3, 1}).contiguous();
    qtk::image_shape const& shape = rows.images.shape();
    qtk::matrix result(rows.images.pixels().rows, shape.channels);
    copy_to(moved, result.data());
    return result;
}

}  // namespace app
