"""Networks of Norse's notebooks and examples."""

import norse.torch as norse
import torch
from norse.torch.functional.leaky_integrator import LIParameters
from norse.torch.functional.lif import LIFParameters
from norse.torch.functional.lsnn import LSNNParameters
from torch import nn
from torch.nn import functional

from tests.networks.listed import Catalogue, Form, T

network = Catalogue("Norse")


@network("MNIST notebook, recurrent, with encoder and decoder", Form.STILL, (64,))
def mnist_notebook() -> nn.Module:
    class SNN(nn.Module):
        def __init__(self, input_features, hidden_features, output_features) -> None:
            super().__init__()
            self.l1 = norse.LIFRecurrentCell(
                input_features,
                hidden_features,
                p=LIFParameters(alpha=100, v_th=torch.tensor(0.5)),
                dt=0.001,
            )
            self.input_features = input_features
            self.fc_out = nn.Linear(hidden_features, output_features, bias=False)
            self.out = norse.LICell(dt=0.001)

        def forward(self, x):
            seq_length, batch_size, _ = x.shape
            s1 = so = None
            voltages = []
            for ts in range(seq_length):
                z = x[ts, :, :].view(-1, self.input_features)
                z, s1 = self.l1(z, s1)
                z = self.fc_out(z)
                vo, so = self.out(z, so)
                voltages += [vo]
            return torch.stack(voltages)

    class Model(nn.Module):
        def __init__(self, encoder, snn, decoder) -> None:
            super().__init__()
            self.encoder, self.snn, self.decoder = encoder, snn, decoder

        def forward(self, x):
            x = self.encoder(x)
            x = self.snn(x)
            return self.decoder(x)

    def decode(x):
        x, _ = torch.max(x, 0)
        return functional.log_softmax(x, dim=1)

    snn = SNN(64, 32, 10)
    with torch.no_grad():
        snn.l1.input_weights.mul_(10)  # as trained ones are: it spikes
    return Model(
        encoder=norse.ConstantCurrentLIFEncoder(
            T, p=LIFParameters(v_th=torch.tensor(0.3))
        ),
        snn=snn,
        decoder=decode,
    )


@network("MNIST notebook, the network alone", Form.TIME_FIRST, (64,), functional="max")
def mnist_network() -> nn.Module:
    class SNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.l1 = norse.LIFCell(p=LIFParameters(alpha=100, v_th=torch.tensor(0.5)))
            self.fc_in = nn.Linear(64, 32, bias=False)
            self.fc_out = nn.Linear(32, 10, bias=False)
            self.out = norse.LICell(dt=0.001)

        def forward(self, x):
            seq_length, batch_size, _ = x.shape
            s1 = so = None
            voltages = []
            for ts in range(seq_length):
                z = self.fc_in(x[ts])
                z, s1 = self.l1(z, s1)
                z = self.fc_out(z)
                vo, so = self.out(z, so)
                voltages += [vo]
            return torch.stack(voltages)

    return SNN()


@network("convolutional MNIST notebook", Form.TIME_FIRST, (1, 16, 16))
def convolutional() -> nn.Module:
    class ConvNet(nn.Module):
        def __init__(self, num_channels=1, feature_size=16, method="super") -> None:
            super().__init__()
            self.features = ((feature_size - 4) // 2 - 2) // 2
            self.conv1 = nn.Conv2d(num_channels, 4, 5, 1)
            self.conv2 = nn.Conv2d(4, 6, 3, 1)
            self.fc1 = nn.Linear(self.features * self.features * 6, 24)
            self.lif0 = norse.LIFCell(p=LIFParameters(method=method, alpha=100.0))
            self.lif1 = norse.LIFCell(p=LIFParameters(method=method, alpha=100.0))
            self.lif2 = norse.LIFCell(p=LIFParameters(method=method, alpha=100.0))
            self.out = norse.LILinearCell(24, 10)

        def forward(self, x):
            seq_length = x.shape[0]
            batch_size = x.shape[1]
            s0 = s1 = s2 = so = None
            voltages = torch.zeros(seq_length, batch_size, 10)
            for ts in range(seq_length):
                z = self.conv1(x[ts, :])
                z, s0 = self.lif0(z, s0)
                z = functional.max_pool2d(z, 2, 2)
                z = 10 * self.conv2(z)
                z, s1 = self.lif1(z, s1)
                z = functional.max_pool2d(z, 2, 2)
                z = z.view(-1, self.features**2 * 6)
                z = self.fc1(z)
                z, s2 = self.lif2(z, s2)
                v, so = self.out(functional.relu(z), so)
                voltages[ts, :, :] = v
            return voltages

    return ConvNet()


@network("SequentialState", Form.STATES, (1, 12, 12))
def sequential_state() -> nn.Module:
    return norse.SequentialState(
        nn.Conv2d(1, 6, 5, 1),
        norse.LIFCell(),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(6 * 16, 10),
        norse.LICell(),
    )


@network("Lift over a sequence", Form.TIME_FIRST, (1, 12, 12))
def lifted() -> nn.Module:
    return norse.SequentialState(
        norse.Lift(nn.Conv2d(1, 6, 5, 1)),
        norse.LIF(),
        norse.Lift(nn.Flatten()),
        norse.Lift(nn.Linear(6 * 64, 10)),
        norse.LI(),
    )


@network("LIF with boxes for currents", Form.STATES, (64,))
def boxes() -> nn.Module:
    return norse.SequentialState(
        nn.Linear(64, 32), norse.LIFBoxCell(), nn.Linear(32, 10), norse.LIBoxCell()
    )


@network("CIFAR-10 example, nested sequences", Form.STATES, (3, 16, 16))
def cifar10() -> nn.Module:
    block = norse.SequentialState(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        norse.LIFCell(),
        nn.AvgPool2d(2),
    )
    return norse.SequentialState(
        block,
        norse.SequentialState(nn.Flatten(), nn.Linear(6 * 64, 10, bias=False)),
        norse.LICell(p=LIParameters(tau_mem_inv=torch.tensor(200.0))),
    )


@network("recurrent SHD example", Form.TIME_FIRST, (70,), encoding="events")
def shd() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif = norse.LIFRecurrentCell(70, 24)
            self.out = norse.LILinearCell(24, 20)

        def forward(self, x):
            s, so, outputs = None, None, []
            for step in x:
                z, s = self.lif(step, s)
                v, so = self.out(z, so)
                outputs.append(v)
            return torch.stack(outputs)

    return Net()


@network("long short-term memory of spikes (LSNN)", Form.STATES, (64,))
def lsnn() -> nn.Module:
    return norse.SequentialState(
        norse.LSNNRecurrentCell(64, 24, p=LSNNParameters()),
        nn.Linear(24, 10),
        norse.LICell(),
    )
