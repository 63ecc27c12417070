"""THE training step: forward, backward and update, written once.

NumPy interprets this text, Numba compiles it together with the epoch loop, CUDA captures it as a graph. So it is plain
Python over a few operations `ops` (their contract: `fastmlp.backends.numpy_ops`) that a backend supplies, and it
allocates nothing. Every function is run by each thread of a backend's team; an operation does its thread's share and
returns when the operation that comes next may be called. Sums that are returned are the thread's share too.

Branch only on the layers' activations and dropout, on whether samples are sparse, on depth and on the scalars in
`Update`: backends cache prepared runs under exactly these.

For layer l with input h (B, I), weights W (I, O) and biases b (O,):

    z = h W + b      a = σ(z)      δ = ∂L/∂z      ∂L/∂W = hᵀ δ      ∂L/∂b = Σ_i δ_i      δ_below = (δ Wᵀ) ∘ σ'(z_below)
"""

from fastmlp.kernels import codes

__all__ = ["gradient", "predict", "train_epoch"]


def is_sparse(data):
    """Whether the features are compressed rows (see `fastmlp.network.Data`)."""
    return len(data.starts) > 0


def dropout_below(net, l):
    """Whether layer l reads the outputs of the layer below after dropout."""
    return l > 0 and net.keep[l - 1] < 1.0


def forward(ops, net, data, samples, depth, training, seed, step, first_row):
    """Outputs of the first `depth` layers for the given samples (B,), with dropout when training.

    A dropout mask depends on seed, step, layer and the row's place in its batch alone, so it is the same everywhere.
    """
    rows = len(samples)
    for l in range(depth):
        w = ops.matrix(net.params, net.weight_at[l], net.fan_in[l], net.fan_out[l])
        b = ops.vector(net.params, net.bias_at[l], net.fan_out[l])
        slope = ops.matrix(net.slope, net.output_at[l + 1], rows, net.fan_out[l])
        a = ops.matrix(net.a, net.output_at[l + 1], rows, net.fan_out[l])
        if l > 0:
            source = net.h if training and dropout_below(net, l) else net.a
            ops.linear(ops.matrix(source, net.output_at[l], rows, net.fan_in[l]), w, b, net.activation[l], slope, a)
        elif is_sparse(data):
            ops.linear_sparse(data.values, data.columns, data.starts, samples, w, b, net.activation[l], slope, a)
        else:
            ops.linear_rows(data.x, samples, w, b, net.activation[l], slope, a)
        if training and net.keep[l] < 1.0:
            h = ops.matrix(net.h, net.output_at[l + 1], rows, net.fan_out[l])
            ops.dropout(a, net.keep[l], seed, step, l, first_row, h)


def output_delta(ops, net, data, samples):
    """Loss of the samples (B,), Σ s ℓ, and δ of the last layer."""
    last, rows = len(net.fan_out) - 1, len(samples)
    a = ops.matrix(net.a, net.output_at[last + 1], rows, net.fan_out[last])
    delta = ops.matrix(net.delta, net.output_at[last + 1], rows, net.fan_out[last])
    truth = data.labels, data.targets, data.weights
    loss = ops.loss_gradient(net.loss, net.loss_parameter, a, *truth, samples, delta)
    if net.activation[last] != codes.IDENTITY:
        slope = ops.matrix(net.slope, net.output_at[last + 1], rows, net.fan_out[last])
        ops.activation_backward(net.activation[last], a, slope, delta)
    return loss


def backward(ops, net, data, samples, into, seed, step, first_row, alpha, weight_beta, bias_beta):
    """into = beta * into + alpha * gradient, from the last layer to the first.

    `into` (P,) may be the parameters themselves: δ_below is taken from the old weights of a layer before the layer's
    gradient is accumulated.
    """
    rows = len(samples)
    for l in range(len(net.fan_out) - 1, -1, -1):
        delta = ops.matrix(net.delta, net.output_at[l + 1], rows, net.fan_out[l])
        if l > 0:
            w = ops.matrix(net.params, net.weight_at[l], net.fan_in[l], net.fan_out[l])
            a = ops.matrix(net.a, net.output_at[l], rows, net.fan_in[l])
            slope = ops.matrix(net.slope, net.output_at[l], rows, net.fan_in[l])
            below = ops.matrix(net.delta, net.output_at[l], rows, net.fan_in[l])
            if dropout_below(net, l):
                # h = mask ∘ a / keep, so the gradient passes the same mask on its way from h to a
                ops.backward_data(delta, w, codes.IDENTITY, a, slope, below)
                ops.dropout(below, net.keep[l - 1], seed, step, l - 1, first_row, below)
                ops.activation_backward(net.activation[l - 1], a, slope, below)
            else:
                ops.backward_data(delta, w, net.activation[l - 1], a, slope, below)
        weights = ops.matrix(into, net.weight_at[l], net.fan_in[l], net.fan_out[l])
        biases = ops.vector(into, net.bias_at[l], net.fan_out[l])
        if l > 0:
            source = net.h if dropout_below(net, l) else net.a
            inputs = ops.matrix(source, net.output_at[l], rows, net.fan_in[l])
            ops.accumulate(inputs, delta, alpha, weight_beta, weights, bias_beta, biases)
        elif is_sparse(data):
            sparse = data.values, data.columns, data.starts
            ops.accumulate_sparse(*sparse, samples, delta, alpha, weight_beta, weights, bias_beta, biases)
        else:
            ops.accumulate_rows(data.x, samples, delta, alpha, weight_beta, weights, bias_beta, biases)


def own_rows(update, first, end, rows):
    """Begin and end of the shards `first` to `end` in a batch of so many rows."""
    if update.shards == 1:
        return 0, rows
    return first * rows // update.shards, end * rows // update.shards


def gradient(ops, net, data, update, order, seed, step, lr):
    """Loss and gradient of the samples `order` (B,), penalties included, chunk by chunk into ``update.into``.

    With the DIRECT rule `into` is the parameters and the factors make the accumulation the whole update:
    W <- (1 - lr l2) W - lr ∂L/∂W. That needs the old weights in every chunk, so DIRECT is for batches of one chunk.

    Where several processes train together, a batch is cut into shards, of which each process has some; `all_reduce`
    sums their gradients and losses over all processes.

    Returns the batch's loss, Σ s ℓ / Σ s (or Σ s ℓ, if losses are summed) and penalties: this thread's share.
    """
    rows = len(order)
    total = ops.total_weight(data.weights, order) if update.mean else 1.0
    scale = 1.0 / total
    penalised = update.l1 > 0.0 or update.l2 > 0.0
    l1, l2 = update.l1, update.l2
    if update.penalty_shared:
        l1, l2 = l1 * scale, l2 * scale
    alpha, weight_beta, bias_beta = scale, 0.0, 0.0
    if update.rule == codes.DIRECT:
        alpha, weight_beta, bias_beta = -lr * scale, 1.0 - lr * l2, 1.0
    elif penalised and update.penalty_shared:
        alpha = 1.0  # the sum, which `regularize` divides together with the penalty: so scikit-learn rounds
    penalty = 0.0
    if penalised:
        penalty = ops.penalty(ops.vector(net.params, 0, net.n_weights), l1, l2)
    loss = 0.0
    for shard in range(update.first_shard, update.end_shard, update.shards_at_once):
        begin, end = own_rows(update, shard, shard + update.shards_at_once, rows)
        shard_loss, w_beta, b_beta = 0.0, weight_beta, bias_beta
        for first in range(begin, end, net.chunk):
            part = order[first : min(first + net.chunk, end)]
            forward(ops, net, data, part, len(net.fan_out), True, seed, step, first)
            shard_loss += output_delta(ops, net, data, part)
            backward(ops, net, data, part, update.into, seed, step, first, alpha, w_beta, b_beta)
            w_beta, b_beta = 1.0, 1.0
        loss = shard_loss
        if update.shards > 1:
            loss = ops.all_reduce(shard, end - begin, update.into, shard_loss)
    if update.rule != codes.DIRECT and penalised:
        weights = ops.vector(net.params, 0, net.n_weights)
        if update.penalty_shared:
            ops.regularize(weights, update.l1, update.l2, total, update.into)
        else:
            ops.regularize(weights, l1, l2, 1.0, update.into)
    return loss * scale + penalty


def apply_update(ops, net, update, rates):
    """Parameters moved along the gradient in ``update.into`` by the rule; rates (3,) as `Optimizer.rates` has them."""
    if update.rule == codes.DIRECT:
        return
    if update.max_norm < codes.INFINITY:
        ops.clip(update.into, update.max_norm)
    if update.decay > 0.0:
        ops.scale(ops.vector(net.params, 0, net.n_weights), 1.0 - rates[0] * update.decay)
    ops.apply_rule(update.rule, net.params, update.into, update.moments, rates[0], rates[1], rates[2], update.constants)


def train_epoch(ops, net, data, update, order, batch_size, rates, seed, first_step):
    """One epoch over the samples in `order` (N,): a step per batch, the last of which may be smaller; rates (steps, 3).

    Returns the sum of the batches' losses, each times its number of rows if losses are means: this thread's share.
    """
    loss = 0.0
    for s in range(len(rates)):
        begin, end = s * batch_size, min((s + 1) * batch_size, len(order))
        batch, step = order[begin:end], first_step + s
        following = order[end : min(end + batch_size, len(order))]
        first, last = own_rows(update, update.first_shard, update.end_shard, len(following))
        ops.announce_next_batch(data.x, data.labels, following[first:last])
        batch_loss = gradient(ops, net, data, update, batch, seed, step, rates[s, 0])
        loss += batch_loss * len(batch) if update.mean else batch_loss
        apply_update(ops, net, update, rates[s])
    return loss


def predict(ops, net, data, order, depth, out):
    """Outputs of layer `depth`, the first being 1, for the samples `order` (B,), written to out (B*O,).

    Returns 0, or NaN if a dense sample is not finite: this thread's share. Chunk by chunk this costs next to nothing,
    since what has just passed through the network is still in the cache.
    """
    last, checked = depth - 1, 0.0
    for first in range(0, len(order), net.chunk):
        part = order[first : min(first + net.chunk, len(order))]
        n = len(part)
        forward(ops, net, data, part, depth, False, 0, 0, 0)
        if not is_sparse(data):
            checked += ops.zero_if_finite(data.x, part)
        a = ops.matrix(net.a, net.output_at[depth], n, net.fan_out[last])
        ops.copy(a, ops.matrix(out, first * net.fan_out[last], n, net.fan_out[last]))
    return checked
