"""Networks of papers, with neurons and containers that their authors wrote themselves.

Rebuilt from the published descriptions and the usual form of such code, narrower.
"""

import torch
from torch import nn
from torch.nn import functional

from tests.networks.listed import Catalogue, Form, T

network = Catalogue("papers")
COLOR = (3, 16, 16)


class ZIF(torch.autograd.Function):
    """A spike with a triangular surrogate gradient."""

    @staticmethod
    def forward(ctx, input, gamma):
        out = (input > 0).float()
        ctx.save_for_backward(input, out, torch.tensor([gamma]))
        return out

    @staticmethod
    def backward(ctx, grad_output):
        input, _, others = ctx.saved_tensors
        gamma = others[0].item()
        tmp = (1 / gamma) * (1 / gamma) * ((gamma - input.abs()).clamp(min=0))
        return grad_output * tmp, None


class SeqToANN(nn.Module):
    """Layers for all timesteps at once, (batch, time, ...)."""

    def __init__(self, *args) -> None:
        super().__init__()
        self.module = args[0] if len(args) == 1 else nn.Sequential(*args)

    def forward(self, x_seq):
        y_shape = [x_seq.shape[0], x_seq.shape[1]]
        y_seq = self.module(x_seq.flatten(0, 1).contiguous())
        y_shape.extend(y_seq.shape[1:])
        return y_seq.view(y_shape)


class LIFSpike(nn.Module):
    """The neuron of TET, TEBN and many after them: (batch, time, ...)."""

    def __init__(self, thresh=1.0, tau=0.5, gamma=1.0) -> None:
        super().__init__()
        self.act = ZIF.apply
        self.thresh, self.tau, self.gamma = thresh, tau, gamma

    def forward(self, x):
        mem = 0
        spike_pot = []
        for t in range(x.shape[1]):
            mem = mem * self.tau + x[:, t, ...]
            spike = self.act(mem - self.thresh, self.gamma)
            mem = (1 - spike) * mem
            spike_pot.append(spike)
        return torch.stack(spike_pot, dim=1)


def add_dimension(x, T):
    """Repeat images in time."""
    x = x.unsqueeze(1)
    return x.repeat(1, T, 1, 1, 1)


class Layer(nn.Module):
    """Convolution, normalization and neurons of TET's VGG."""

    def __init__(self, n_in, n_out, kernel_size=3, stride=1, padding=1) -> None:
        super().__init__()
        self.fwd = SeqToANN(
            nn.Conv2d(n_in, n_out, kernel_size, stride, padding), nn.BatchNorm2d(n_out)
        )
        self.act = LIFSpike()

    def forward(self, x):
        return self.act(self.fwd(x))


@network("VGGSNN", Form.TIME_SECOND, (2, 16, 16), source="TET", encoding="events")
def tet_vgg() -> nn.Module:
    class VGGSNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pool = SeqToANN(nn.AvgPool2d(2))
            self.features = nn.Sequential(
                Layer(2, 4), Layer(4, 6), pool, Layer(6, 8), Layer(8, 8), pool
            )
            self.classifier = SeqToANN(nn.Linear(8 * 4 * 4, 10))

        def forward(self, input):
            x = self.features(input)
            x = torch.flatten(x, 2)
            return self.classifier(x)

    return VGGSNN()


class tdLayer(nn.Module):
    def __init__(self, layer, bn=None) -> None:
        super().__init__()
        self.layer = SeqToANN(layer)
        self.bn = bn

    def forward(self, x):
        x_ = self.layer(x)
        if self.bn is not None:
            x_ = self.bn(x_)
        return x_


class tdBatchNorm(nn.Module):
    """Normalizes over batch and time, and scales by the threshold."""

    def __init__(self, out_panel) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(out_panel)
        self.seqbn = SeqToANN(self.bn)

    def forward(self, x):
        return self.seqbn(x)


class TetBlock(nn.Module):
    """The residual block of TET's ResNet-19."""

    def __init__(self, inplanes, planes, stride=1) -> None:
        super().__init__()
        self.conv1_s = tdLayer(
            nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False), tdBatchNorm(planes)
        )
        self.conv2_s = tdLayer(
            nn.Conv2d(planes, planes, 3, 1, 1, bias=False), tdBatchNorm(planes)
        )
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = tdLayer(
                nn.Conv2d(inplanes, planes, 1, stride, bias=False), tdBatchNorm(planes)
            )
        self.spike = LIFSpike()

    def forward(self, x):
        identity = x
        out = self.conv1_s(x)
        out = self.spike(out)
        out = self.conv2_s(out)
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.spike(out)


@network("ResNet-19", Form.STILL, COLOR, source="TET, tdBN")
def tet_resnet() -> nn.Module:
    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.T = T
            self.conv1_s = tdLayer(nn.Conv2d(3, 4, 3, 1, 1, bias=False), tdBatchNorm(4))
            self.spike = LIFSpike()
            self.layer1 = nn.Sequential(TetBlock(4, 4), TetBlock(4, 4))
            self.layer2 = nn.Sequential(TetBlock(4, 8, 2), TetBlock(8, 8))
            self.avgpool = tdLayer(nn.AdaptiveAvgPool2d((1, 1)))
            self.fc1 = nn.Linear(8, 16)
            self.fc1_s = tdLayer(self.fc1)
            self.fc2 = nn.Linear(16, 10)
            self.fc2_s = tdLayer(self.fc2)

        def _forward_impl(self, x):
            x = self.conv1_s(x)
            x = self.spike(x)
            x = self.layer1(x)
            x = self.layer2(x)
            x = self.avgpool(x)
            x = torch.flatten(x, 2)
            x = self.fc1_s(x)
            x = self.spike(x)
            return self.fc2_s(x)

        def forward(self, x):
            if len(x.shape) == 4:
                x = add_dimension(x, self.T)
            return self._forward_impl(x)

    return ResNet()


@network("VGG with a scale for each timestep", Form.STILL, COLOR, source="TEBN")
def tebn() -> nn.Module:
    class TEBN(nn.Module):
        def __init__(self, n) -> None:
            super().__init__()
            self.bn = SeqToANN(nn.BatchNorm2d(n))
            self.p = nn.Parameter(torch.linspace(0.5, 1.5, T).view(T, 1, 1, 1, 1))

        def forward(self, x):
            y = self.bn(x).transpose(0, 1).contiguous()
            return (y * self.p).contiguous().transpose(0, 1)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = SeqToANN(nn.Conv2d(3, 4, 3, padding=1, bias=False))
            self.bn, self.act = TEBN(4), LIFSpike(tau=0.25)
            self.fc = SeqToANN(nn.Linear(4 * 256, 10))

        def forward(self, x):
            x = self.act(self.bn(self.conv(add_dimension(x, T))))
            return self.fc(x.flatten(2)).mean(1)

    return Net()


@network(
    "VGG with an added dimension and mean over time",
    Form.STILL,
    COLOR,
    source="Dspike, RecDis, IM-Loss",
)
def mean_vgg() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                Layer(3, 4), SeqToANN(nn.AvgPool2d(2)), Layer(4, 6, stride=2)
            )
            self.fc = SeqToANN(nn.Linear(6 * 16, 10))

        def forward(self, x):
            x = self.features(add_dimension(x, T))
            return self.fc(torch.flatten(x, 2)).mean(1)

    return Net()


class GradFloor(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        return input.floor()

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output


class MergeTemporalDim(nn.Module):
    def __init__(self, T) -> None:
        super().__init__()
        self.T = T

    def forward(self, x_seq):
        return x_seq.flatten(0, 1).contiguous()


class ExpandTemporalDim(nn.Module):
    def __init__(self, T) -> None:
        super().__init__()
        self.T = T

    def forward(self, x_seq):
        y_shape = [self.T, int(x_seq.shape[0] / self.T)]
        y_shape.extend(x_seq.shape[1:])
        return x_seq.view(y_shape)


class IF(nn.Module):
    """QCFS in training, integrate-and-fire neurons for T > 0."""

    def __init__(self, T=0, L=8, thresh=1.0) -> None:
        super().__init__()
        self.act = ZIF.apply
        self.thresh = nn.Parameter(torch.tensor([thresh]), requires_grad=True)
        self.gamma = 1.0
        self.expand = ExpandTemporalDim(T)
        self.merge = MergeTemporalDim(T)
        self.L, self.T = L, T

    def forward(self, x):
        if self.T > 0:
            thre = self.thresh.data
            x = self.expand(x)
            mem = 0.5 * thre
            spike_pot = []
            for t in range(self.T):
                mem = mem + x[t, ...]
                spike = self.act(mem - thre, self.gamma) * thre
                mem = mem - spike
                spike_pot.append(spike)
            x = torch.stack(spike_pot, dim=0)
            x = self.merge(x)
        else:
            x = x / self.thresh
            x = torch.clamp(x, 0, 1)
            x = GradFloor.apply(x * self.L + 0.5) / self.L
            x = x * self.thresh
        return x


class QcfsVgg(nn.Module):
    def __init__(self, T) -> None:
        super().__init__()
        self.T = T
        self.layer1 = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), IF(T), nn.AvgPool2d(2)
        )
        self.layer2 = nn.Sequential(
            nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), IF(T), nn.AvgPool2d(2)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(6 * 16, 32), IF(T), nn.Linear(32, 10)
        )
        self.merge = MergeTemporalDim(T)
        self.expand = ExpandTemporalDim(T)

    def forward(self, input):
        if self.T > 0:
            input = input.unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
            input = self.merge(input)
        out = self.layer1(input)
        out = self.layer2(out)
        out = self.classifier(out)
        if self.T > 0:
            out = self.expand(out)
        return out


@network("VGG, as it is trained", Form.STEP, COLOR, source="QCFS")
def qcfs_trained() -> nn.Module:
    return QcfsVgg(0)


@network("VGG, as spiking neurons", Form.STILL, COLOR, source="QCFS")
def qcfs_spiking() -> nn.Module:
    return QcfsVgg(T)


class LifNeuron(nn.Module):
    """The neuron of PLIF's own repository, one timestep, with a learned decay."""

    def __init__(self, init_tau=2.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0 / (init_tau - 1)).log())
        self.v = 0.0

    def forward(self, dv):
        self.v += (dv - self.v) * self.w.sigmoid()
        spike = (self.v >= 1.0).to(dv)
        self.v = self.v * (1.0 - spike)
        return spike


@network("static network, loop over T", Form.STILL, (1, 16, 16), source="PLIF")
def plif() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.T = T
            self.static_conv = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            )
            self.conv = nn.Sequential(LifNeuron(), nn.MaxPool2d(2, 2))
            self.fc = nn.Sequential(
                nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 100), LifNeuron()
            )
            self.boost = nn.AvgPool1d(10, 10)

        def forward(self, x):
            for module in self.modules():
                if isinstance(module, LifNeuron):
                    module.v = 0.0
            x = self.static_conv(x)
            out = self.boost(self.fc(self.conv(x)).unsqueeze(1)).squeeze(1)
            for _ in range(1, self.T):
                out += self.boost(self.fc(self.conv(x)).unsqueeze(1)).squeeze(1)
            return out

    return Net()


class ActFun(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.gt(0.5).float()

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * (abs(input - 0.5) < 0.5).float()


act_fun = ActFun.apply


def mem_update(ops, x, mem, spike):
    """Return the voltages and spikes of the next timestep, decay 0.2."""
    mem = mem * 0.2 * (1.0 - spike) + ops(x)
    spike = act_fun(mem)
    return mem, spike


@network(
    "spatio-temporal backpropagation, a function as neuron",
    Form.STILL,
    (1, 12, 12),
    source="STBP",
)
def stbp() -> nn.Module:
    class SCNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
            self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
            self.fc1 = nn.Linear(4 * 9, 24)
            self.fc2 = nn.Linear(24, 10)

        def forward(self, input, time_window=T):
            batch_size = input.shape[0]
            c1_mem = c1_spike = torch.zeros(batch_size, 4, 12, 12, dtype=input.dtype)
            c2_mem = c2_spike = torch.zeros(batch_size, 4, 6, 6, dtype=input.dtype)
            h1_mem = h1_spike = h1_sumspike = torch.zeros(
                batch_size, 24, dtype=input.dtype
            )
            h2_mem = h2_spike = h2_sumspike = torch.zeros(
                batch_size, 10, dtype=input.dtype
            )
            for _ in range(time_window):
                x = input
                c1_mem, c1_spike = mem_update(self.conv1, x.float(), c1_mem, c1_spike)
                x = functional.avg_pool2d(c1_spike, 2)
                c2_mem, c2_spike = mem_update(self.conv2, x, c2_mem, c2_spike)
                x = functional.avg_pool2d(c2_spike, 2)
                x = x.view(batch_size, -1)
                h1_mem, h1_spike = mem_update(self.fc1, x, h1_mem, h1_spike)
                h1_sumspike += h1_spike
                h2_mem, h2_spike = mem_update(self.fc2, h1_spike, h2_mem, h2_spike)
                h2_sumspike += h2_spike
            return h2_sumspike / time_window

    return SCNN()


@network(
    "VGG with a loop over layers and dictionaries of states",
    Form.STILL,
    COLOR,
    source="DIET-SNN",
)
def diet() -> nn.Module:
    class SNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.timesteps = T
            self.features = nn.Sequential(
                nn.Conv2d(3, 4, 3, padding=1, bias=False),
                nn.ReLU(inplace=True),
                nn.AvgPool2d(2),
                nn.Conv2d(4, 6, 3, padding=1, bias=False),
                nn.ReLU(inplace=True),
            )
            self.classifier = nn.Sequential(nn.Linear(6 * 64, 10, bias=False))
            self.threshold = nn.ParameterDict(
                {
                    "t0": nn.Parameter(torch.tensor(1.0)),
                    "t3": nn.Parameter(torch.tensor(0.8)),
                }
            )
            self.leak = nn.ParameterDict(
                {
                    "l0": nn.Parameter(torch.tensor(0.9)),
                    "l3": nn.Parameter(torch.tensor(0.95)),
                }
            )

        def neuron_init(self, x):
            self.mem = {0: 0.0, 3: 0.0, "out": 0.0}
            self.spike = {0: 0.0, 3: 0.0}

        def forward(self, x):
            self.neuron_init(x)
            for _ in range(self.timesteps):
                out_prev = x
                for n, layer in enumerate(self.features):
                    if isinstance(layer, nn.Conv2d):
                        threshold = self.threshold["t" + str(n)]
                        rst = threshold * self.spike[n]
                        self.mem[n] = (
                            self.leak["l" + str(n)] * self.mem[n]
                            + layer(out_prev)
                            - rst
                        )
                        mem_thr = self.mem[n] / threshold - 1.0
                        self.spike[n] = (mem_thr > 0).float()
                        out_prev = self.spike[n]
                    elif isinstance(layer, nn.AvgPool2d):
                        out_prev = layer(out_prev)
                out_prev = out_prev.reshape(x.size(0), -1)
                self.mem["out"] = self.mem["out"] + self.classifier[0](out_prev)
            return self.mem["out"]

    return SNN()


@network(
    "converted, residual membrane potential neurons",
    Form.STILL,
    COLOR,
    source="RMP-SNN",
)
def rmp() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, bias=False)
            self.fc = nn.Linear(4 * 14 * 14, 10, bias=False)
            self.v_th = 2.5

        def forward(self, x):
            mem, acc = torch.zeros(()), 0
            for _ in range(T):
                mem = mem + self.conv(x)
                spike = torch.where(
                    mem >= self.v_th, torch.ones_like(mem), torch.zeros_like(mem)
                )
                mem = mem - spike * self.v_th
                acc = acc + self.fc(spike.flatten(1))
            return acc

    return Net()


class SpikeModule(nn.Module):
    """A neuron that keeps its voltage, as calibration repositories write it."""

    def __init__(self, threshold) -> None:
        super().__init__()
        self.threshold = threshold
        self.mem_pot = 0.0

    def init_membrane(self):
        self.mem_pot = 0.5 * self.threshold

    def forward(self, x):
        self.mem_pot = self.mem_pot + x
        spike = (self.mem_pot >= self.threshold).type_as(x) * self.threshold
        self.mem_pot = self.mem_pot - spike
        return spike


@network("converted, calibrated network", Form.STILL, COLOR, source="SNN Calibration")
def calibration() -> nn.Module:
    class SpikeModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.T = T
            self.net = nn.Sequential(
                nn.Conv2d(3, 4, 3),
                SpikeModule(1.5),
                nn.AvgPool2d(2),
                nn.Flatten(),
                nn.Linear(4 * 49, 10),
            )

        def init_membrane_potential(self):
            for m in self.net.modules():
                if isinstance(m, SpikeModule):
                    m.init_membrane()

        def forward(self, input):
            self.init_membrane_potential()
            out = 0
            for _ in range(self.T):
                out += self.net(input)
            return out

    return SpikeModel()


class OnlineLIF(nn.Module):
    """One timestep, hard to tell from the first: OTTT, SLTT."""

    def __init__(self, tau=2.0, v_threshold=1.0) -> None:
        super().__init__()
        self.tau, self.v_threshold = tau, v_threshold

    def forward(self, x, **kwargs):
        init = kwargs.get("init", False)
        if init:
            self.v = torch.zeros_like(x)
        self.v = self.v.detach() * (1 - 1.0 / self.tau) + x
        spike = (self.v >= self.v_threshold).to(x.dtype)
        self.v = self.v - spike.detach() * self.v_threshold
        return spike


@network(
    "online training, state initialised by a flag",
    Form.STILL,
    COLOR,
    source="OTTT, SLTT",
)
def online() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, bias=False)
            self.sn1, self.sn2 = OnlineLIF(), OnlineLIF()
            self.pool = nn.AdaptiveAvgPool2d((2, 2))
            self.fc = nn.Linear(16, 24)
            self.head = nn.Linear(24, 10)

        def step(self, x, **kwargs):
            x = self.sn1(self.conv(x), **kwargs)
            x = self.sn2(self.fc(self.pool(x).flatten(1)), **kwargs)
            return self.head(x)

        def forward(self, x):
            total = 0.0
            for t in range(T):
                total = total + self.step(x, init=t == 0)
            return total / T

    return Net()


@network("differentiation on spike representation", Form.STILL, COLOR, source="DSR")
def dsr() -> nn.Module:
    class LIFLayer(nn.Module):
        def __init__(self, v_th=1.0, tau=1.0, delta_t=0.05) -> None:
            super().__init__()
            self.v_th = nn.Parameter(torch.tensor(v_th))
            self.lam = float(torch.exp(torch.tensor(-delta_t / tau)))

        def forward(self, x):
            v = torch.zeros_like(x[0])
            spikes = []
            for current in x:
                v = self.lam * v + (1 - self.lam) * current * 8
                s = (v >= self.v_th).to(x.dtype)
                v = v - self.v_th * s
                spikes.append(s)
            return torch.stack(spikes)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 4, 3), LIFLayer()
            self.fc = nn.Linear(4 * 196, 10)

        def forward(self, x):
            x = x.unsqueeze(0).expand(T, *x.shape)
            y = self.conv(x.flatten(0, 1))
            y = self.act(y.reshape(T, -1, *y.shape[1:]))
            return self.fc(y.flatten(2)).sum(0)

    return Net()


@network("learned thresholds", Form.TIME_SECOND, (64,), source="LTMD")
def learned_threshold() -> nn.Module:
    class Neuron(nn.Module):
        def __init__(self, n) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.full((n,), 0.8))

        def forward(self, x):
            u, out = torch.zeros_like(x[:, 0]), []
            th = torch.tanh(self.w)
            for t in range(x.size(1)):
                u = 0.25 * u + x[:, t]
                o = torch.heaviside(u - th, torch.zeros((), dtype=x.dtype))
                u = u * (1 - o)
                out.append(o)
            return torch.stack(out, 1)

    return nn.Sequential(nn.Linear(64, 32), Neuron(32), nn.Linear(32, 10), Neuron(10))


@network("gated neurons", Form.TIME_SECOND, (64,), source="GLIF")
def gated() -> nn.Module:
    class GLIF(nn.Module):
        """Leak and reset are mixed of two kinds each, by learned gates."""

        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Parameter(torch.tensor([0.3, -0.2, 0.4]))

        def forward(self, x):
            a, b, g = self.gate.sigmoid()
            u, o, out = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0]), []
            for t in range(x.size(1)):
                soft = u * (1 - a * 0.5) - (1 - a) * 0.1 - (1 - g) * 0.5 * o
                u = soft * (1 - g * o) + (1 - b * 0.5) * x[:, t]
                o = (u > 0.5).to(x.dtype)
                out.append(o)
            return torch.stack(out, 1)

    return nn.Sequential(nn.Linear(64, 32), GLIF(), nn.Linear(32, 10), GLIF())


@network(
    "adaptive recurrent network",
    Form.TIME_FIRST,
    (40,),
    source="SRNN",
    encoding="events",
)
def srnn() -> nn.Module:
    class SRNN(nn.Module):
        """Thresholds that rise with every spike."""

        def __init__(self) -> None:
            super().__init__()
            self.i2h, self.h2h = nn.Linear(40, 24), nn.Linear(24, 24)
            self.h2o = nn.Linear(24, 10)

        def forward(self, x):
            mem = spike = b = torch.zeros(x.shape[1], 24, dtype=x.dtype)
            mem_out, outputs = torch.zeros(x.shape[1], 10, dtype=x.dtype), []
            for step in x:
                b = 0.97 * b + 0.03 * spike
                threshold = 0.1 + 1.8 * b
                mem = 0.9 * mem + self.i2h(step) + self.h2h(spike) - threshold * spike
                spike = (mem > threshold).to(x.dtype)
                mem_out = 0.9 * mem_out + 0.1 * self.h2o(spike)
                outputs.append(mem_out)
            return torch.stack(outputs)

    return SRNN()


@network(
    "tutorial with einsum and two states",
    Form.TIME_SECOND,
    (40,),
    source="SpyTorch",
    encoding="events",
    functional="max",
)
def spytorch() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1 = nn.Parameter(torch.randn(40, 24) * 0.2)
            self.w2 = nn.Parameter(torch.randn(24, 10) * 0.2)

        def forward(self, inputs):
            alpha, beta = 0.82, 0.9
            h1 = torch.einsum("abc,cd->abd", (inputs, self.w1))
            syn = mem = torch.zeros(len(inputs), 24, dtype=inputs.dtype)
            spk_rec = []
            for t in range(inputs.shape[1]):
                mthr = mem - 1.0
                out = (mthr > 0).to(inputs.dtype)
                rst = out.detach()
                new_syn = alpha * syn + h1[:, t]
                new_mem = (beta * mem + syn) * (1.0 - rst)
                spk_rec.append(out)
                mem, syn = new_mem, new_syn
            spk = torch.stack(spk_rec, dim=1)
            h2 = torch.einsum("abc,cd->abd", (spk, self.w2))
            flt = out = torch.zeros(len(inputs), 10, dtype=inputs.dtype)
            out_rec = []
            for t in range(inputs.shape[1]):
                new_flt = alpha * flt + h2[:, t]
                new_out = beta * out + flt
                flt, out = new_flt, new_out
                out_rec.append(out)
            return torch.stack(out_rec, dim=1)

    return Net()


@network("membrane shortcut", Form.STILL, COLOR, source="MS-ResNet")
def ms_resnet() -> nn.Module:
    class mem_update(nn.Module):
        def forward(self, x):
            mem = torch.zeros_like(x[0])
            spike = torch.zeros_like(x[0])
            output = torch.zeros_like(x)
            mem_old = 0
            for i in range(x.shape[0]):
                if i >= 1:
                    mem = mem_old * 0.25 * (1 - spike.detach()) + x[i]
                else:
                    mem = x[i]
                spike = (mem > 0.5).to(x.dtype)
                mem_old = mem.clone()
                output[i] = spike
            return output

    class Snn_Conv2d(nn.Conv2d):
        def forward(self, input):
            h = (
                input.size()[3] + 2 * self.padding[0] - self.kernel_size[0]
            ) // self.stride[0] + 1
            c1 = torch.zeros(
                T, input.size()[1], self.out_channels, h, h, dtype=input.dtype
            )
            for i in range(T):
                c1[i] = functional.conv2d(
                    input[i], self.weight, self.bias, self.stride, self.padding
                )
            return c1

    class Norm(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x.flatten(0, 1)).view(x.shape)

    class Block(nn.Module):
        def __init__(self, n_in, n_out, stride=1) -> None:
            super().__init__()
            self.residual_function = nn.Sequential(
                mem_update(),
                Snn_Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
                Norm(n_out),
                mem_update(),
                Snn_Conv2d(n_out, n_out, 3, padding=1, bias=False),
                Norm(n_out),
            )
            self.shortcut = nn.Sequential()
            if stride != 1 or n_in != n_out:
                self.shortcut = nn.Sequential(
                    Snn_Conv2d(n_in, n_out, 1, stride=stride, bias=False), Norm(n_out)
                )

        def forward(self, x):
            return self.residual_function(x) + self.shortcut(x)

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Sequential(
                Snn_Conv2d(3, 4, 3, padding=1, bias=False), Norm(4)
            )
            self.conv2 = nn.Sequential(Block(4, 4), Block(4, 8, 2))
            self.mem_update = mem_update()
            self.fc = nn.Linear(8, 10)

        def forward(self, x):
            input = torch.zeros(T, *x.shape, dtype=x.dtype)
            for i in range(T):
                input[i] = x
            output = self.mem_update(self.conv2(self.conv1(input)))
            output = functional.adaptive_avg_pool3d(output, (None, 1, 1))
            output = output.view(output.size()[0], output.size()[1], -1)
            output = output.sum(dim=0) / output.size()[0]
            return self.fc(output)

    return ResNet()


@network(
    "attention over timesteps",
    Form.TIME_SECOND,
    (2, 8, 8),
    source="TA-SNN",
    encoding="events",
)
def temporal_attention() -> nn.Module:
    class Net(nn.Module):
        """Weighs each timestep by what all of them hold: not causal."""

        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.Sequential(
                nn.Linear(T, 4), nn.ReLU(), nn.Linear(4, T), nn.Sigmoid()
            )
            self.conv, self.act = SeqToANN(nn.Conv2d(2, 4, 3)), LIFSpike()
            self.fc = SeqToANN(nn.Linear(4 * 36, 10))

        def forward(self, x):
            weights = self.attention(x.mean(dim=(2, 3, 4)))
            x = x * weights[:, :, None, None, None]
            return self.fc(self.act(self.conv(x)).flatten(2)).mean(1)

    return Net()


@network(
    "delays learned by dilated convolutions",
    Form.TIME_FIRST,
    (40,),
    source="DCLS-Delays",
    encoding="events",
)
def delays() -> nn.Module:
    class Net(nn.Module):
        """A convolution over time between neurons."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(40, 24, 5)
            self.act, self.fc = LIFSpike(), nn.Linear(24, 10)

        def forward(self, x):
            x = functional.pad(x.permute(1, 2, 0), (4, 0))
            x = self.act(self.conv(x).permute(0, 2, 1))
            return self.fc(x).transpose(0, 1)

    return Net()


@network(
    "Spike-driven AutoEncoder",
    Form.TIME_SECOND,
    (1, 8, 8),
    source="spiking autoencoders",
)
def autoencoder() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = SeqToANN(
                nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
            )
            self.up = SeqToANN(
                nn.ConvTranspose2d(4, 1, 3, stride=2, padding=1, output_padding=1)
            )
            self.act = LIFSpike()

        def forward(self, x):
            return self.up(self.act(self.down(x)))

    return Net()


@network(
    "U-shaped, with concatenated skips",
    Form.TIME_SECOND,
    (1, 8, 8),
    source="spiking U-Net",
)
def unet() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = Layer(1, 4)
            self.pool = SeqToANN(nn.AvgPool2d(2))
            self.deep = Layer(4, 8)
            self.up = SeqToANN(nn.Upsample(scale_factor=2))
            self.last = Layer(12, 4)
            self.head = SeqToANN(nn.Conv2d(4, 2, 1))

        def forward(self, x):
            a = self.down(x)
            b = self.up(self.deep(self.pool(a)))
            return self.head(self.last(torch.cat([a, b], dim=2)))

    return Net()
